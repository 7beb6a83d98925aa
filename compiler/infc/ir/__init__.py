"""The values that flow through infc: frozen, in base units, no behaviour but arithmetic on themselves."""
