"""Deliveries: which address an e-mail of a mailing went to. Written before the e-mail is sent."""

from django.db import models
from django.db.models.functions import Now


class Delivery(models.Model):
    """One e-mail of a mailing to one address. Whoever inserts the row, or takes back a refused one, may send it."""

    class State(models.TextChoices):
        #: About to be sent. It stays so where the sender died or never heard the answer: nobody can tell.
        SENDING = "sending"
        #: The mail server took it.
        SENT = "sent"
        #: The mail server said no; it may be tried again.
        REFUSED = "refused"

    #: The name of the mailing.
    key = models.CharField(max_length=100)
    #: The address in lower case.
    recipient = models.CharField(max_length=254)
    state = models.CharField(max_length=16, choices=State, default=State.SENDING)
    #: The run that last took it.
    task_id = models.CharField(max_length=255)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()
        permissions = [("send_mail", "Can send e-mail to users")]
        constraints = [models.UniqueConstraint("key", "recipient", name="delivery_once")]

    def __str__(self) -> str:
        return f"{self.key} to {self.recipient}"
