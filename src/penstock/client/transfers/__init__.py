"""Uploads, downloads and copies of any size: what `penstock.transfer` decides is carried out here."""
