"""Values in, pictures and text out; nothing here touches a database."""
