"""What the files of a workspace say of its experiments, runs and jobs. Nothing is ever written here."""
