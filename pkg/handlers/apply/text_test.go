package apply

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseText(t *testing.T) {
	for text, want := range map[string][]string{
		"":                            nil,
		"plain":                       {"plain"},
		"${object.a}":                 {"2:object.a"},
		"a ${object.b} c":             {"a ", "4:object.b", " c"},
		"ü${x}${y}":                   {"ü", "3:x", "7:y"},
		"$${object.a}":                {"${object.a}"},
		"$$${a}":                      {"$${a}"},
		"cost: $5 {}":                 {"cost: $5 {}"},
		"${ {'a': 1}.a }":             {"2: {'a': 1}.a "},
		`${"}" + '}'}`:                {`2:"}" + '}'`},
		`${"\"}"}!`:                   {`2:"\"}"`, "!"},
		`${r"\"}`:                     {`2:r"\"`},
		`${"""a"}"""}`:                {`2:"""a"}"""`},
		"${a ? '}' : object.?b}-${c}": {"2:a ? '}' : object.?b", "-", "25:c"},
		"${a":                         {"! 0: the expression after ${ is not closed"},
		"b ${'}":                      {"! 2: the expression after ${ is not closed"},
		"x${ }":                       {"! 1: the expression in ${} is empty"},
	} {
		t.Run(text, func(t *testing.T) {
			segments, m := parseText(text)
			var have []string
			for _, s := range segments {
				if s.isExpression {
					have = append(have, fmt.Sprintf("%d:%s", s.offset, s.expression))
				} else {
					have = append(have, s.literal)
				}
			}
			if m != nil {
				have = append(have, fmt.Sprintf("! %d: %s", m.Offset, m.Message))
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("segments (-want +have):\n%s", diff)
			}
		})
	}
}
