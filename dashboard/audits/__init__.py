"""What the Audits page consists of: the runs of the folder, what each found, and whether it is as it was written."""
