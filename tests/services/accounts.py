"""Two accounts of moto whose calls IAM's policies judge: a user of the one, and a bucket and a role of the other.

Moto does not look at a role's trust policy, and its tokens do not expire.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.services.aws import Aws
from tests.services.aws import aws as run_aws

OTHER, BUCKET, ROLE = "222222222222", "their-flow-logs", "arn:aws:iam::222222222222:role/flow-log-reader"
"""The other account, what lies in it, and who may read that."""

USER = "exporter"


@dataclass(frozen=True, slots=True)
class Accounts:
    """The running server."""

    aws: Aws

    def allow(self, *actions: str) -> None:
        """What the user may do: this and nothing else."""
        with self.unjudged():
            client = self.aws.client("iam")
            client.put_user_policy(UserName=USER, PolicyName="all", PolicyDocument=_policy(*actions or ("sts:None",)))
            client.close()

    def key(self) -> tuple[str, str]:
        """A new access key of the user in the place of the old ones: its id and its secret."""
        with self.unjudged():
            client = self.aws.client("iam")
            for old in client.list_access_keys(UserName=USER)["AccessKeyMetadata"]:
                client.delete_access_key(UserName=USER, AccessKeyId=old["AccessKeyId"])
            made = client.create_access_key(UserName=USER)["AccessKey"]
            client.close()
        return made["AccessKeyId"], made["SecretAccessKey"]

    def put(self, key: str, body: bytes) -> None:
        """Stores an object in the other account's bucket."""
        with self.unjudged():
            client = self.aws.client("s3", account=OTHER)
            client.put_object(Bucket=BUCKET, Key=key, Body=body)
            client.close()

    def give_role(self, account: str, name: str, *actions: str) -> str:
        """What a role of an account, which is made where there is none, may do: this and nothing else; its ARN."""
        with self.unjudged():
            client = self.aws.client("iam", account=account)
            with suppress(client.exceptions.EntityAlreadyExistsException):
                client.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
            client.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=_policy(*actions))
            client.close()
        return f"arn:aws:iam::{account}:role/{name}"

    @contextmanager
    def unjudged(self) -> Iterator[None]:
        """No call is judged as long as the block lasts."""
        self._judge_after(b"inf")
        yield
        self._judge_after(b"0")

    def _judge_after(self, requests: bytes) -> None:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.aws.url}/moto-api/reset-auth", data=requests, headers=plain)  # noqa: S310 - loopback
        direct.open(request, timeout=30).close()


@contextmanager
def accounts() -> Iterator[Accounts]:
    """Runs a server of its own, for its policies hold for every call; the user may assume roles and nothing else."""
    with run_aws() as server:
        theirs, iam, ours = (
            server.client("s3", account=OTHER),
            server.client("iam", account=OTHER),
            server.client("iam"),
        )
        theirs.create_bucket(Bucket=BUCKET)
        iam.create_role(RoleName=ROLE.rpartition("/")[2], AssumeRolePolicyDocument="{}")
        reading = _policy("s3:ListBucket", "s3:GetObject")
        iam.put_role_policy(RoleName=ROLE.rpartition("/")[2], PolicyName="read", PolicyDocument=reading)
        ours.create_user(UserName=USER)
        for client in (theirs, iam, ours):
            client.close()
        made = Accounts(server)
        made.allow("sts:AssumeRole")
        yield made


def _policy(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
