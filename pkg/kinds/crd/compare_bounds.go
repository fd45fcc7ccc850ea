package crd

import "math"

// bounds compares the limits of numbers and of what is counted.
func (c *comparison) bounds(old, now map[string]any) {
	for _, word := range []string{"minimum", "minLength", "minItems", "minProperties"} {
		c.bound(word, low(old, word), low(now, word), old[word], now[word])
	}
	for _, word := range []string{"maximum", "maxLength", "maxItems", "maxProperties"} {
		c.bound(word, -high(old, word), -high(now, word), old[word], now[word])
	}
	was, hadMultiple := number(old["multipleOf"])
	is, hasMultiple := number(now["multipleOf"])
	switch {
	case !hadMultiple && hasMultiple:
		c.addf(Narrower, "is a multiple of %s, could have other values", text(now["multipleOf"]))
	case hadMultiple && !hasMultiple:
		c.addf(Wider, "need not be a multiple of %s any more", text(old["multipleOf"]))
	case hadMultiple && was != is:
		effect := Narrower
		if quotient := was / is; quotient == math.Trunc(quotient) {
			effect = Wider
		}
		c.addf(effect, "is a multiple of %s, was one of %s", text(now["multipleOf"]), text(old["multipleOf"]))
	}
}

// low returns a lower limit as a number that can be compared: one that does not count itself is a
// little more.
func low(s map[string]any, word string) float64 {
	n, ok := number(s[word])
	switch {
	case !ok && word != "minimum":
		return 0 // of what is counted
	case !ok:
		return math.Inf(-1)
	case word == "minimum" && isTrue(s["exclusiveMinimum"]):
		return math.Nextafter(n, math.Inf(1))
	}
	return n
}

func high(s map[string]any, word string) float64 {
	n, ok := number(s[word])
	switch {
	case !ok:
		return math.Inf(1)
	case word == "maximum" && isTrue(s["exclusiveMaximum"]):
		return math.Nextafter(n, math.Inf(-1))
	}
	return n
}

// bound compares limits of which a larger one leaves less.
func (c *comparison) bound(word string, was, is float64, old, now any) {
	switch {
	case is > was && text(old) == text(now):
		c.addf(Narrower, "%s %s does not count itself any more", word, text(now))
	case is < was && text(old) == text(now):
		c.addf(Wider, "%s %s counts itself", word, text(now))
	case is > was:
		c.addf(Narrower, "%s is %s, was %s", word, text(now), text(old))
	case is < was:
		c.addf(Wider, "%s is %s, was %s", word, text(now), text(old))
	}
}
