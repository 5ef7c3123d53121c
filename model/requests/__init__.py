"""What requests say and what their answers hold: shared by the service, the command line and the client in process."""
