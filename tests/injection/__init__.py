"""What others wrote is shown, and does nothing: names, paths, reasons and notes in every format that infc writes."""
