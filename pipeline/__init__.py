"""Order, storage, readers, embedding, export, report and the command line. The only package that does I/O."""
