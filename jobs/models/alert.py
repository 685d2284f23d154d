"""Alerts: which troubles people outside were told of, and the messages that are on their way to them."""

from __future__ import annotations

import uuid

from django.db import models

from .json_object import JSONObjectField


class Alert(models.Model):
    """A trouble that stands, or that has just gone. Its row ends when its end is told, or with a flap.

    Verbs: `jobs.alerts.settle`.
    """

    #: What is in trouble, whatever its state: one row, so that one trouble is told once.
    key = models.CharField(max_length=255, unique=True)
    tone = models.CharField(max_length=8)
    #: As they were when it was told.
    fact = models.TextField()
    more = models.TextField(blank=True)
    #: A path of the console.
    href = models.TextField(blank=True)
    since = models.DateTimeField()
    #: When somebody last could see whether it stands.
    looked_at = models.DateTimeField()
    gone_since = models.DateTimeField(null=True)
    #: When the message of its begin was written; None while it may be a flap.
    told_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.key


class AlertChannel(models.Model):
    """One address, or the webhook, of the recorder's settings: what becomes of the messages to it."""

    WEBHOOK = "webhook"
    MAIL = "mail:"

    #: `webhook`, or `mail:` and the address.
    name = models.CharField(max_length=300, primary_key=True)
    #: When the last message to it was written, and when the last was taken.
    made_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    #: Why the oldest message does not leave, since when, how often it was tried, and when it is tried again.
    error = models.CharField(max_length=300, blank=True)
    failing_since = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0)
    try_after = models.DateTimeField(null=True)
    #: Until then one recorder sends to it, and no other.
    claimed_until = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class AlertMessage(models.Model):
    """A message that one channel has not taken yet; written in the transaction that marked its troubles as told."""

    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="messages")
    #: The same at every try, so that a receiver can know it again.
    uid = models.UUIDField(default=uuid.uuid4)
    subject = models.CharField(max_length=255)
    text = models.TextField()
    payload = JSONObjectField()
    made_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.subject
