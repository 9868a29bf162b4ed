"""`byok prices …`: the price table, what the operator sets in it, and how it compares."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from byok.cli.frame import Group, show_json, show_table, utc_now
from byok.errors import BadRequest, NotFound
from byok.settings import Settings

if TYPE_CHECKING:
    from byok.pricing.catalogue import Price
    from byok.services import Services

_FROM = click.option(
    "--from", "since", type=click.DateTime(["%Y-%m-%d"]), help="First day (UTC) on which it holds. Default: today; no day that is over."
)
_RATES = (("input", "Input"), ("output", "Output"), ("cached", "Cached input"), ("cache-write", "Cache write"))


@click.group(cls=Group)
def prices() -> None:
    """The price table: list, show, check; set, unset, import prices of your own.

    Example: byok prices show gpt-4o
    """


@prices.command("list")
@click.option("--vendor", help="Only this vendor's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_obj
def list_(settings: Settings, vendor: str | None, as_json: bool) -> None:
    """List the rates in force now, in USD per million tokens; * says that something else decides, too (see: byok prices show).

    Example: byok prices list --vendor openai
    """
    from byok.pricing.price import usd_per_mtok

    now = utc_now()
    with _services(settings) as services:
        models = [model for model in services.catalogue.models() if vendor in (None, model.vendor)]
    current = [(model, price) for model in models if (price := model.price_at(now)) is not None]
    if as_json:
        show_json([{"vendor": model.vendor, "model": model.model} | _facts(price) for model, price in current])
        return
    names = ("vendor", "model", "input", "output", "cached", "cache write", "from", "")
    rows = [
        (
            *(model.vendor, model.model, *(usd_per_mtok(pico) for pico in _picos(price))),
            *(price.since.isoformat() if price.since else None, "*" if price.conditions() else ""),
        )
        for model, price in current
    ]
    show_table(names, rows, right=(2, 3, 4, 5))


@prices.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, one object per dated price.")
@click.pass_obj
def show(settings: Settings, model: str, as_json: bool) -> None:
    """Show every dated price of a model (or vendor/model) with its source.

    Example: byok prices show claude-haiku-4
    """
    with _services(settings) as services:
        found = services.catalogue.named(model)
    if not found:
        raise NotFound(f"No price of '{model[:100]}' is known.", remedy="byok prices list shows all.")
    if as_json:
        show_json([{"vendor": known.vendor, "model": known.model} | _facts(price) for known in found for price in known.prices])
        return
    for known in found:
        click.echo(f"{known.vendor}/{known.model}" + (f", also {', '.join(known.aliases)}" if known.aliases else ""))
        for price in known.prices:
            _echo_price(price)
        if not known.prices:
            click.echo("  no price: its calls are counted as unpriced")


@prices.command()
@click.option("--all", "show_all", is_flag=True, help="Also name the models on which both agree.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array of all models.")
@click.pass_obj
def check(settings: Settings, show_all: bool, as_json: bool) -> None:
    """Check the price files, and compare the whole table with the package genai-prices: every difference, with its reason where known.

    Example: byok prices check
    """
    from byok.accounts import price_overrides
    from byok.pricing import comparison, genai

    with _services(settings) as services:
        catalogue = services.catalogue
        overridden = {(stored.vendor, stored.model) for stored in price_overrides.every(services.db)}
    found = list(comparison.compare(catalogue, now=utc_now(), overridden=overridden))
    if as_json:
        show_json([finding._asdict() for finding in found])
        return
    models = catalogue.models()
    unpriced = sum(not model.prices for model in models)
    click.echo(f"{len(models)} models of {len({model.vendor for model in models})} vendors, {unpriced} without a price. No faults.")
    counts = {verdict: sum(finding.verdict == verdict for finding in found) for verdict in ("agrees", "differs", "only here")}
    click.echo(
        f"Beside genai-prices {genai.version()}: {counts['agrees']} agree, {counts['differs']} differ, {counts['only here']} are only here."
    )
    for finding in found:
        if finding.verdict != "agrees" or show_all:
            click.echo(f"\n{finding.vendor}/{finding.model}: {finding.verdict}" + (f" ({finding.reason})" if finding.reason else ""))
            click.echo(f"  here   {finding.ours}")
            if finding.theirs:
                click.echo(f"  there  {finding.theirs}")
    left = ", ".join(f"{vendor} {count}" for vendor, count in sorted(comparison.missing(catalogue).items()))
    click.echo(f"\nPriced there and not here (take one over with: byok prices set VENDOR/MODEL --genai): {left}.")


def _rates(command: Any) -> Any:
    for name, words in reversed(_RATES):
        command = click.option(f"--{name}", type=str, metavar="USD", help=f"{words}, USD per million tokens.")(command)
    return command


@prices.command("set")
@click.argument("model")
@_rates
@click.option("--request", "request_usd", type=str, metavar="USD", help="A fee for each call.")
@_FROM
@click.option("--source", metavar="TEXT", help="Where the price is from, such as the vendor's page.")
@click.option("--genai", is_flag=True, help="Take the price that the package genai-prices has.")
@click.option("--catalogue", "packaged", is_flag=True, help="Go back to the packaged price.")
@click.pass_obj
def set_(
    settings: Settings,
    /,
    model: str,
    since: datetime | None,
    source: str | None,
    genai: bool,
    packaged: bool,
    request_usd: str | None,
    **rates: Any,
) -> None:
    """Set the price of a model (or vendor/model) from a day on. What was priced before stays as it was.

    Example: byok prices set openai/gpt-4o --input 2.5 --output 10 --cached 1.25 --source "contract of November"
    """
    from byok import price_setting
    from byok.pricing import overrides

    given = {name: value for name, value in (rates | {"request": request_usd}).items() if value is not None}
    if (bool(given), genai, packaged).count(True) != 1 or (given and not {"input", "output"} <= given.keys()):
        raise click.UsageError("Name --input and --output, or --genai, or --catalogue.")
    now = utc_now()
    with _services(settings) as services:
        vendor, name = _target(services, model)
        entry = None if packaged else _theirs(vendor, name) if genai else _entry({**given, "source": source or overrides.BY_OPERATOR})
        new = overrides.Override(vendor, name, since.date() if since else now.date(), entry)
        price_setting.book(services, [new], now=now)
        stored = services.catalogue.find(vendor, name)
        assert stored is not None  # noqa: S101 - just set
        click.echo(f"{vendor}/{name}")
        for price in stored.prices:
            _echo_price(price)


@prices.command()
@click.argument("model")
@click.option("--from", "since", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The day from which on it was to hold.")
@click.pass_obj
def unset(settings: Settings, model: str, since: datetime) -> None:
    """Take back a price that was set and does not hold yet. To end one that holds: byok prices set MODEL --catalogue.

    Example: byok prices unset openai/gpt-4o --from 2027-01-01
    """
    from byok.accounts import price_overrides
    from byok.pricing import catalogue, overrides

    now = utc_now()
    with _services(settings) as services:
        vendor, name = _target(services, model)
        kept = [one for one in overrides.read(price_overrides.every(services.db)) if one[:3] != (vendor, name, since.date())]
        if since.date() <= now.date():
            overrides.refuse_past(services.catalogue, overrides.applied(catalogue.load(), kept), [(vendor, name)], now=now)
        if not price_overrides.withdraw(services.db, vendor, name, since.date(), now=now):
            raise NotFound(f"No price of {vendor}/{name} was set from {since.date()} on.", remedy="byok prices show lists them.")
    click.echo(f"Taken back: {vendor}/{name} from {since.date()} on.", err=True)


@prices.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be set, and set nothing.")
@click.pass_obj
def import_(settings: Settings, file: Path, dry_run: bool) -> None:
    """Set many prices at once: a YAML file in the form of the packaged ones, or a CSV with the columns vendor, model, from, input, output
    and if you like cached, cache_write, request, source. All or none.

    Example: byok prices import our-prices.csv
    """
    from byok import price_setting
    from byok.pricing import exchange

    now = utc_now()
    new = exchange.read(file.read_text(encoding="utf-8"), file.name, today=now.date())
    with _services(settings) as services:
        price_setting.book(services, new, now=now, dry_run=dry_run)
    verb = "would be set" if dry_run else "set"
    click.echo(f"{len(new):,} prices of {len({one[:2] for one in new}):,} models {verb}.")


def _services(settings: Settings) -> "Services":
    from byok.services import Services

    return Services(settings)


def _target(services: "Services", name: str) -> tuple[str, str]:
    """Which vendor and model are meant; a model that is not in the catalogue needs both."""
    from byok import price_setting

    found = services.catalogue.named(name)
    if len(found) == 1:
        return found[0].vendor, found[0].model
    if found:
        raise BadRequest(f"Several vendors have '{name[:100]}'.", remedy="Name one: " + ", ".join(f"{m.vendor}/{m.model}" for m in found))
    vendor, _, model = name.partition("/")
    if not price_setting.is_name(vendor, model):
        raise NotFound(
            f"No model '{name[:100]}' is known.", remedy="Name one that is not in the catalogue as vendor/model, as its records do."
        )
    return vendor, model


def _entry(values: dict[str, Any]) -> Any:
    from byok.pricing import files

    try:
        return files.entry(values)
    except ValueError as error:
        raise BadRequest(f"This is no price: {error}.", remedy="Rates are USD per million tokens, at most six decimals.") from None


def _theirs(vendor: str, model: str) -> Any:
    from byok.pricing import genai

    found = genai.find(vendor, model)
    if not found.entries:
        raise NotFound(f"genai-prices charges {vendor}/{model} for more than text tokens.", remedy="Name the rates: byok prices set --help")
    return found.entries[-1]


def _facts(price: "Price") -> dict[str, Any]:
    from byok.pricing.price import usd_per_mtok

    names = ("input", "output", "cached", "cache_write")
    return {
        **{name: usd_per_mtok(pico) for name, pico in zip(names, _picos(price), strict=True)},
        "request": Decimal(price.request_pico) / 10**12 if price.request_pico else None,
        "from": _day(price.since),
        "conditions": price.conditions(),
        "beside": dict(price.beside),
        "source": price.source,
    }


def _picos(price: "Price") -> tuple[int | None, ...]:
    return price.input_pico, price.output_pico, price.cached_pico, price.write_pico


def _echo_price(price: "Price") -> None:
    from byok.pricing.price import rates_in_words

    until = f" until {price.valid_until:%Y-%m-%d}" if price.valid_until else ""
    begin = price.valid_from.date() if price.valid_from else price.since
    since = f"from {begin}" if begin else "at first"
    click.echo(f"  {since}{until}  {rates_in_words(price.rates)}  ({price.source})")
    for condition in (price.conditions() or "").split("; "):
        if condition:
            click.echo(f"    {condition}")
    if price.beside:
        click.echo("    not in a record, so not charged: " + ", ".join(f"{name} {value.normalize():f}" for name, value in price.beside))


def _day(since: date | None) -> str | None:
    return since.isoformat() if since else None
