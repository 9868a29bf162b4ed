"""The way out that every mail names: one click for mail programs (RFC 8058), a button for people. The address is the key to it."""

from starlette.requests import Request
from starlette.responses import Response

from byok import pages_html
from byok.notify import unsubscribe
from byok.notify.unsubscribe import Subject
from byok.pool import Pool
from byok.services import Services

_VOID = {
    "message": "This link is not one of ours, or the master key was replaced since.",
    "remedy": "Alerts & reports in the dashboard ends mails.",
}
_ENDED = {"message": "Done: no more of these mails.", "remedy": "Alerts & reports in the dashboard brings them back."}


class EndingMails:
    """GET asks, because programs that look at mails follow links; POST does it."""

    def __init__(self, services: Services, pool: Pool) -> None:
        self.services, self.pool = services, pool

    async def ask(self, request: Request) -> Response:
        token, subject = self._asked(request)
        if subject is None:
            return self._notice(request, "bad", _VOID, 404)
        what = "this alert rule" if subject.rule_id else "the reports"
        return pages_html.render("unsubscribe.html", request.scope, title="No more of these mails", token=token, what=what)

    async def end(self, request: Request) -> Response:
        _, subject = self._asked(request)
        if subject is None:
            return self._notice(request, "bad", _VOID, 404)
        await self.pool.run(unsubscribe.end, self.services.db, subject)
        return self._notice(request, "good", _ENDED, 200)

    def _asked(self, request: Request) -> tuple[str, Subject | None]:
        token = request.query_params.get("token", "")
        return token, unsubscribe.read(self.services.master, token)

    def _notice(self, request: Request, kind: str, said: dict[str, str], status: int) -> Response:
        return pages_html.render("notice.html", request.scope, status=status, title="No more of these mails", kind=kind, said=said)
