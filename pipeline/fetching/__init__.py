"""Images from addresses that strangers wrote: the only code of nearfar that opens a connection to the web.

A connection is made to an address that was looked at, never to a name; what is sent and received is bounded in bytes
and seconds; and what arrives is an image of a known format before it is kept.
"""
