"""What can go wrong with accounts: each says what happened and what to do."""

from byok.errors import ByokError


class AccountsUnavailable(ByokError):
    """The accounts database cannot be read or written just now."""

    status, code = 503, "accounts_unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The accounts database cannot be used just now ({reason}).", remedy="Try again; byok doctor names the fault.")


class AccountsDriverMissing(ByokError):
    """BYOK_ACCOUNTS_URL names a server whose driver is an optional package."""

    status, code = 500, "accounts_driver_missing"

    def __init__(self, package: str) -> None:
        super().__init__(f"BYOK_ACCOUNTS_URL needs the package {package}, which is not installed.", remedy="Run: make install-scale")


class AccountsTooNew(ByokError):
    status, code = 500, "accounts_too_new"

    def __init__(self) -> None:
        super().__init__(
            "The accounts database was written by a newer version of BYOK.",
            remedy="Start that version, or restore a backup made before the upgrade.",
        )


class UserUnknown(ByokError):
    status, code = 404, "user_unknown"

    def __init__(self) -> None:
        super().__init__("There is no such user.", remedy="byok user list shows all; byok user add EMAIL makes one.")


class UserExists(ByokError):
    status, code = 409, "user_exists"

    def __init__(self) -> None:
        super().__init__("There is already a user with this e-mail or id.", remedy="Change that one with: byok user set EMAIL")


class UserErased(ByokError):
    status, code = 409, "user_erased"

    def __init__(self) -> None:
        super().__init__("A user with this id was erased; an id is never given twice.", remedy="Leave the id out, or choose another.")


class TokenRestricted(ByokError):
    """A token that is for some models only must not turn into one that is for all."""

    status, code = 403, "token_restricted"

    def __init__(self) -> None:
        super().__init__(
            "This access token is for calls of some models, and for reading; it makes and changes nothing.",
            remedy="Use an access token without a list of models, or a JWT of your e-mail and password.",
        )


class PasswordTooWeak(ByokError):
    code = "password_too_weak"

    def __init__(self, why: str) -> None:
        super().__init__(f"This password cannot be used: {why}.", remedy="Take 12 or more characters; four random words are easy to keep.")


class LinkInvalid(ByokError):
    status, code = 403, "link_invalid"

    def __init__(self) -> None:
        super().__init__("This link was used already or has expired.", remedy="Ask an admin for a new one.")


class NotInvited(ByokError):
    """Known to the sign-in service, unknown here."""

    status, code = 403, "not_invited"

    def __init__(self) -> None:
        super().__init__(
            "You have no account here yet.",
            remedy="Ask an admin for an invitation, open its link, and continue from there with this sign-in.",
        )


class AccountDisabled(ByokError):
    status, code = 403, "account_disabled"

    def __init__(self) -> None:
        super().__init__("This account is disabled.", remedy="Ask an admin.")


class IdentityTaken(ByokError):
    status, code = 409, "identity_taken"

    def __init__(self) -> None:
        super().__init__(
            "This sign-in belongs to another account here already.",
            remedy="Sign in with it to reach that account, and disconnect it there first; an admin can do so, too.",
        )


class EmailTaken(ByokError):
    """An e-mail alone never opens an account that is there already: whoever runs a sign-in service could write any into it."""

    status, code = 409, "email_taken"

    def __init__(self) -> None:
        super().__init__(
            "There is an account with your e-mail already, and it is not connected to this sign-in.",
            remedy="Sign in as before and connect the two on the page Account, or ask an admin for a new link.",
        )


class MasterKeyInvalid(ByokError):
    status, code = 500, "master_key_invalid"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The master key cannot be used: {why}.",
            remedy="It is 32 random bytes as base64 in a file that only you can read (chmod 600), named by BYOK_MASTER_KEY_FILE.",
        )


class MasterKeyWrong(ByokError):
    status, code = 500, "master_key_wrong"

    def __init__(self) -> None:
        super().__init__(
            "This master key is not the one that the stored vendor keys were encrypted with.",
            remedy="Put the right key back (BYOK_MASTER_KEY_FILE). If it is lost, usage is not, but vendor keys must be entered again.",
        )


class MasterKeyReplaced(ByokError):
    status, code = 503, "master_key_replaced"

    def __init__(self) -> None:
        super().__init__("The master key was replaced at this moment; nothing was stored.", remedy="Try again.")


class RecordBroken(ByokError):
    status, code = 500, "record_broken"

    def __init__(self, record_id: str) -> None:
        super().__init__(
            f"The stored secret {record_id} does not open: its record was changed. The master key is still the old one.",
            remedy="Restore accounts.db from a backup, or give that secret up (byok key revoke, byok alert remove), then rotate again.",
        )


class JwtSecretInvalid(ByokError):
    status, code = 500, "jwt_secret_invalid"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The secret in BYOK_JWT_SECRET_FILE cannot be used: {why}.",
            remedy="Put 32 or more random bytes of text there, or leave the setting out: then it is derived from the master key.",
        )


class VendorKeyInvalid(ByokError):
    code = "vendor_key_invalid"

    def __init__(self, why: str) -> None:
        super().__init__(f"This vendor key cannot be stored: {why}.", remedy="Paste the key exactly as the vendor shows it, on one line.")


class VendorKeyUnreadable(ByokError):
    status, code = 403, "vendor_key_unreadable"

    def __init__(self) -> None:
        super().__init__(
            "The stored vendor key does not open: its record was changed, or belongs to another master key.",
            remedy="Revoke the key and add it again; byok doctor checks all of them.",
        )


class WebhookUnreadable(ByokError):
    status, code = 409, "webhook_unreadable"

    def __init__(self) -> None:
        super().__init__(
            "The stored address of this rule does not open: its record was changed, or belongs to another master key.",
            remedy="Remove the rule and add it again.",
        )


class RulesTooMany(ByokError):
    status, code = 409, "rules_too_many"

    def __init__(self, most: int) -> None:
        super().__init__(f"There are {most} alert rules already, the most that one user can have.", remedy="Remove one that is not needed.")
