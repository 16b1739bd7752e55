"""`/v1/models`: the model endpoints of this installation, without their keys."""
