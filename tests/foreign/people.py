"""Projects with users and admin sites of their own."""

from __future__ import annotations

from tests.foreign.projects import Axis

_APP = "from django.apps import AppConfig\n\n\nclass AccountsConfig(AppConfig):\n    name = 'accounts'\n"
_SETTINGS = "INSTALLED_APPS += ['accounts']\nAUTH_USER_MODEL = 'accounts.User'"
_OWN_MIGRATIONS = (("makemigrations", "accounts"),)


def _accounts(models: str, admin: str = "") -> dict[str, str]:
    return {
        "accounts/__init__.py": "",
        "accounts/apps.py": _APP,
        "accounts/migrations/__init__.py": "",
        "accounts/models.py": models,
        "accounts/admin.py": admin,
    }


ABSTRACT_USER = Axis(
    "A user model from `AbstractUser`",
    settings=_SETTINGS,
    files=_accounts(
        "from django.contrib.auth.models import AbstractUser\n\n\nclass User(AbstractUser):\n    pass\n",
        "from django.contrib import admin\nfrom django.contrib.auth.admin import UserAdmin\n\n"
        "from .models import User\n\nadmin.site.register(User, UserAdmin)\n",
    ),
    commands=_OWN_MIGRATIONS,
)

EMAIL_AND_UUID = Axis(
    "E-mail instead of a username, UUID keys, no page for groups",
    settings=_SETTINGS,
    files=_accounts(
        """\
import uuid

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models


class Manager(BaseUserManager):
    def create_user(self, email, password=None, **values):
        user = self.model(email=self.normalize_email(email), **values)
        user.set_password(password)
        user.save()
        return user

    def create_superuser(self, email, password=None, **values):
        return self.create_user(email, password, is_staff=True, is_superuser=True, **values)


class User(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    username = None
    email = models.EmailField(unique=True)
    USERNAME_FIELD = 'email'
    REQUIRED_FIELDS = []
    objects = Manager()
""",
        """\
from django.contrib import admin
from django.contrib.auth.models import Group

from .models import User

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = ['email', 'is_active']
""",
    ),
    commands=_OWN_MIGRATIONS,
)

BARE_USER = Axis(
    "Users as in Django's full example (no `PermissionsMixin`), text keys, no page for users or groups",
    settings=_SETTINGS,
    files=_accounts(
        """\
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models


class Manager(BaseUserManager):
    def create_user(self, code, born, password=None):
        user = self.model(code=code, born=born)
        user.set_password(password)
        user.save()
        return user

    def create_superuser(self, code, born, password=None):
        user = self.create_user(code, born, password)
        user.is_admin = True
        user.save()
        return user


class User(AbstractBaseUser):
    code = models.CharField(max_length=40, primary_key=True)
    born = models.CharField(max_length=40)
    is_admin = models.BooleanField(default=False)
    USERNAME_FIELD = 'code'
    REQUIRED_FIELDS = ['born']
    objects = Manager()

    def __str__(self):
        return self.code

    def has_perm(self, perm, obj=None):
        return True

    def has_module_perms(self, app_label):
        return True

    @property
    def is_staff(self):
        return self.is_admin
""",
        "from django.contrib import admin\nfrom django.contrib.auth.models import Group\n\n"
        "admin.site.unregister(Group)\n",
    ),
    commands=_OWN_MIGRATIONS,
)

SITES = Axis(
    "A default site of its own (`AdminConfig` with `default_site`), and a second `AdminSite`",
    settings="INSTALLED_APPS[INSTALLED_APPS.index('django.contrib.admin')] = 'proj.apps.MyAdminConfig'",
    files={
        "proj/apps.py": "from django.contrib.admin.apps import AdminConfig\n\n\nclass MyAdminConfig(AdminConfig):\n"
        "    default_site = 'proj.sites.MySite'\n",
        "proj/sites.py": """\
from django.contrib import admin
from django.http import HttpResponse
from django.urls import path


class MySite(admin.AdminSite):
    site_header = 'Widgets Ltd.'

    def get_urls(self):
        own = path('own-page/', self.admin_view(lambda request: HttpResponse('mine')), name='own')
        return [own, *super().get_urls()]


class SecondSite(admin.AdminSite):
    pass


second = SecondSite(name='second')
""",
        "shop/admin.py": """\
from django.contrib import admin

from proj.sites import second

from .models import Widget


@admin.register(Widget, site=admin.site)
@admin.register(Widget, site=second)
class WidgetAdmin(admin.ModelAdmin):
    list_display = ['name']
""",
    },
    appended={"proj/urls.py": "from proj.sites import second\n\nurlpatterns += [path('second/', second.urls)]"},
    answers={"/admin/own-page/": 302, "/second/login/": 200},
)

CLOSED = Axis(
    "`LoginRequiredMiddleware`, a catch-all address at the end, a `handler404` of its own",
    settings="MIDDLEWARE += ['django.contrib.auth.middleware.LoginRequiredMiddleware']",
    files={
        "shop/views.py": """\
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse, HttpResponseNotFound


@login_not_required
def page(request, path):
    return HttpResponse('a page of the project', status=418)


def lost(request, exception=None):
    return HttpResponseNotFound('nothing of the project')
""",
        "shop/look.py": """\
from django.test import Client, override_settings


def look(client, wait_for, runs_of):
    with override_settings(SECURE_SSL_REDIRECT=True):
        assert Client().get('/livez').status_code == 301
    with override_settings(SECURE_SSL_REDIRECT=True, SECURE_REDIRECT_EXEMPT=[r'^livez$', r'^readyz$']):
        assert Client().get('/livez').status_code == Client().get('/readyz').status_code == 200
    with override_settings(ALLOWED_HOSTS=['shop.example.com']):
        assert Client().get('/livez', headers={'host': '10.0.0.1'}).status_code == 400
""",
    },
    before={
        "proj/urls.py": "from django.urls import re_path\n\nfrom shop.views import page\n\n"
        "urlpatterns += [re_path('^(?P<path>(?!gone).*)$', page)]",
    },
    appended={
        "proj/urls.py": "handler404 = 'shop.views.lost'\n\nfrom django.urls import include\n\n"
        "urlpatterns = [path('probes/', include(health)), *urlpatterns]",
    },
    answers={
        "/livez": 200,
        "/readyz": 200,
        "/probes/livez": 200,
        "/probes/readyz": 200,
        "/anything/": 418,
        "/gone": 404,
        "/admin/": 302,
    },
)

JAZZMIN = Axis(
    "`jazzmin`, `grappelli`, `baton`, `suit` or another skin of the admin",
    settings="INSTALLED_APPS = ['jazzmin', *INSTALLED_APPS]",
    files={"jazzmin/__init__.py": ""},
    refusal="take it out",
)

NOT_MOUNTED = Axis(
    "An admin that no address leads to",
    appended={"proj/urls.py": "urlpatterns = [*health]"},
    refusal="admin_ext.W003",
)

PEOPLE = (ABSTRACT_USER, EMAIL_AND_UUID, BARE_USER, SITES, CLOSED, JAZZMIN, NOT_MOUNTED)
