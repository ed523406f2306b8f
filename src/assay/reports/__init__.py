"""Reports as pages, tables, charts and plots, made of figures that other packages have gathered."""
