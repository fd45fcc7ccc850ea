package crd

import (
	"maps"
	"reflect"
)

func (c *comparison) alternatives(old, now map[string]any) {
	old, now = withoutBothTypes(old), withoutBothTypes(now)
	for _, word := range []string{"allOf", "anyOf", "oneOf", "not"} {
		switch {
		case same(old, now, word):
		case now[word] == nil:
			c.addf(Wider, "%s is gone", word)
		case old[word] == nil:
			c.addf(Narrower, "%s is new", word)
		default:
			c.addf(Narrower, "%s is different, and may refuse what it took", word)
		}
	}
}

// withoutBothTypes returns a schema without the anyOf that says only once more that a value is an
// integer or a string.
func withoutBothTypes(s map[string]any) map[string]any {
	types := []any{map[string]any{"type": "integer"}, map[string]any{"type": "string"}}
	if !isTrue(s[intOrString]) || !reflect.DeepEqual(s["anyOf"], types) {
		return s
	}
	s = maps.Clone(s)
	delete(s, "anyOf")
	return s
}

// rules compares the validation rules by their expressions, and whether they are asked without an
// old value.
func (c *comparison) rules(old, now map[string]any) {
	type key struct {
		rule    string
		without bool
	}
	keys := func(s map[string]any) (all []any) {
		for _, one := range list(s[validations]) {
			rule, _ := object(one)["rule"].(string)
			all = append(all, key{rule, isTrue(object(one)["optionalOldSelf"])})
		}
		return all
	}
	told := func(effect Effect, rules []any, what string) {
		for _, one := range rules {
			rule, _ := one.(key)
			if rule.without {
				c.addf(effect, "the rule %s with optionalOldSelf is %s", text(rule.rule), what)
				continue
			}
			c.addf(effect, "the rule %s is %s", text(rule.rule), what)
		}
	}
	told(Narrower, without(keys(now), keys(old)), "new")
	told(Wider, without(keys(old), keys(now)), "gone")
}
