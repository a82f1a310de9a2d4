"""The hook of check-prices.toml: offers with their discounts, and the next page, which only a button's attribute names."""


def parse(page):
    for offer in page.css("li.offer"):
        cents, before = int(offer.attrib["data-cents"]), int(offer.attrib["data-before"])
        yield page.item(
            "offer",
            id=int(offer.attrib["data-id"]),
            name=offer.css("::text").get("").strip(),
            price=cents / 100,
            discount=round(100 * (before - cents) / before),
            available=not offer.css("em"),
        )
    following = page.css("button[data-next]::attr(data-next)").get()
    if following:
        yield page.link(following, priority=50)
