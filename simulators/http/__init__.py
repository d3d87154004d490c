"""Simulated receivers of events by HTTP: webhooks and collectors.

Enters: POST requests, checked as a strict receiver checks them: credential, signature, content type, form and size.
Leaves: stored rows by path, every call with its headers, and answers after a script of faults.
It imports nothing but its neighbours.
"""
