"""The organizations: reading, changing and showing them.

In: a requested change (`OrganizationChange`), and the records of the organizations topic and the status topic.
Out: one transaction a change, which holds the organization and its entry in the change log; results and views.
It may not know how the input was typed, nor how the result is shown.
No secret leaves this room: a view holds the reference or the word `encrypted`, never a key.
"""
