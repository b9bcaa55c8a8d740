"""What packed bytes become, looked at before they are unpacked."""
