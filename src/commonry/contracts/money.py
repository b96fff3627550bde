"""Money: whole minor units and an ISO 4217 currency with its exponent. No float ever touches it."""

from typing import Annotated

import msgspec

MOST = 10**12
Amount = Annotated[int, msgspec.Meta(ge=0, le=MOST, description="Minor units: 1250 with EUR is 12.50 €.")]

_EXPONENT_0 = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_EXPONENT_3 = "BHD IQD JOD KWD LYD OMR TND"
_EXPONENT_2 = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP
CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR
KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN
PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD
TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"""

EXPONENTS: dict[str, int] = {
    code: exponent
    for exponent, codes in ((0, _EXPONENT_0), (2, _EXPONENT_2), (3, _EXPONENT_3))
    for code in codes.split()
}
"""Currency code → how many decimal digits its minor unit has."""


Currency = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^(?:{'|'.join(EXPONENTS)})$",
        description="a currency of ISO 4217, such as EUR",
        examples=["EUR"],
    ),
]


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount in minor units of a currency."""

    amount: Amount
    currency: Currency


def shown(money: Money) -> str:
    """For people: `12.50 EUR`, `1250 JPY`, `1.250 KWD`."""
    exponent = EXPONENTS[money.currency]
    whole, rest = divmod(money.amount, 10**exponent)
    return f"{whole}.{rest:0{exponent}} {money.currency}" if exponent else f"{whole} {money.currency}"
