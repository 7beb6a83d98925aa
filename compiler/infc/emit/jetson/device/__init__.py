"""The program that runs on the device, in modules: Python 3.8, standard library only; `edge_file` merges them."""
