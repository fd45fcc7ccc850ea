package chart

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// selector is one of the places where an expression of PromQL names a metric.
type selector struct {
	metric   string
	matchers []matcher
}

// matcher is a condition on one label.
type matcher struct{ label, operator, value string }

// query is what an expression of PromQL names: metrics, and the labels by which it groups or
// matches.
type query struct {
	selectors []selector
	labels    []string
}

// Words of PromQL that may stand where a metric does, and those that a list of labels follows.
var (
	promWords  = []string{"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"}
	labelLists = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
)

// promToken is a text, a number or duration, a name, or one other character.
var promToken = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[0-9][0-9a-zA-Z.]*|[a-zA-Z_:][a-zA-Z0-9_:]*|=~|!~|!=|\S`)

// parseQuery reads as much of PromQL as the dashboard and the alerts have. Prometheus' own parser
// would take longer to build than all tests of the chart.
func parseQuery(t *testing.T, expr string) query {
	t.Helper()
	p := promParser{tokens: promToken.FindAllString(expr, -1)}
	var q query
	for !p.end() {
		switch word := p.next(); {
		case slices.Contains(labelLists, word):
			q.labels = append(q.labels, p.list()...)
		case !isName(word) || slices.Contains(promWords, word) || p.peek() == "(" || slices.Contains(labelLists, p.peek()):
			// An operator, a number, a function, or an aggregation.
		default:
			matchers, err := p.matchers()
			if err != nil {
				t.Fatalf("reading %s: %v", expr, err)
			}
			q.selectors = append(q.selectors, selector{word, matchers})
		}
		if p.peek() == "[" { // A range, which may have a name of Grafana in it.
			for !p.end() && p.next() != "]" {
				continue
			}
		}
	}
	return q
}

// promParser goes through the tokens of an expression.
type promParser struct{ tokens []string }

func (p *promParser) end() bool { return len(p.tokens) == 0 }

func (p *promParser) peek() string {
	if p.end() {
		return ""
	}
	return p.tokens[0]
}

func (p *promParser) next() string {
	token := p.peek()
	if !p.end() {
		p.tokens = p.tokens[1:]
	}
	return token
}

// list reads labels in parentheses, if there are any.
func (p *promParser) list() (labels []string) {
	if p.peek() != "(" {
		return nil
	}
	for p.next(); !p.end(); {
		switch token := p.next(); {
		case token == ")":
			return labels
		case isName(token):
			labels = append(labels, token)
		}
	}
	return labels
}

// matchers reads the conditions in braces, if there are any.
func (p *promParser) matchers() (all []matcher, err error) {
	if p.peek() != "{" {
		return nil, nil
	}
	for p.next(); ; {
		m := matcher{label: p.next(), operator: p.next(), value: p.next()}
		if !isName(m.label) || !strings.HasPrefix(m.value, `"`) {
			return nil, fmt.Errorf("this is no condition: %s %s %s", m.label, m.operator, m.value)
		}
		m.value = strings.Trim(m.value, `"`)
		all = append(all, m)
		switch p.next() {
		case ",":
		case "}":
			return all, nil
		default:
			return nil, fmt.Errorf("a brace is not closed after %s", m.label)
		}
	}
}

func isName(token string) bool {
	return token != "" && (token[0] == '_' || token[0] >= 'a' && token[0] <= 'z' || token[0] >= 'A' && token[0] <= 'Z')
}

// words are the values that a matcher names, without those that only Grafana or the rules of a
// release know.
func (m matcher) words() []string {
	if strings.Contains(m.value, "$") || m.value == "" {
		return nil
	}
	return strings.Split(m.value, "|")
}
