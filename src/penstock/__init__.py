"""Uploads to Alibaba Cloud OSS that stop when told to and go on later, and an OSS that runs locally."""
