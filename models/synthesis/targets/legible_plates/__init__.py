"""Number plates whose texts are known, to learn reading from.

`texts` makes texts of the formats of many countries; `faces` draws their characters in faces of several kinds;
`drawing` lays them out on plates of one or two rows.
"""
