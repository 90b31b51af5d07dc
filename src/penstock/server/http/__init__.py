"""HTTP/1.1 as a server speaks it: heads, bodies, bytes in and out."""
