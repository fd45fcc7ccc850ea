package page

import (
	"slices"
	"strings"

	"kooperd.dev/kooperd/pkg/statusz"
)

// attention is the page, or a part of one, with objects that need somebody.
type attention struct {
	// Of is the definition whose objects they are, or empty.
	Of    string
	Total int
	Lists []troubleList
}

// troubleList is the beginning of one list.
type troubleList struct {
	trouble

	// Of is the page that has the list: a definition's name, attention, or empty for the overview.
	Of    string
	Total int
	Rows  []statusz.ObjectRow
	// GivenUp is how many of them are not retried.
	GivenUp int
	// Children says that some row has a child.
	Children bool
	// Definitions says that the rows are of several definitions.
	Definitions bool
}

// newAttention lists objects with all kinds of trouble, also those of which there are none.
func newAttention(o statusz.Objects, of string) attention {
	a := attention{Of: of}
	for _, t := range troubles {
		list := t.of(o)
		a.Total += list.Total
		a.Lists = append(a.Lists, troubleList{
			trouble: t, Of: of, Total: list.Total, GivenUp: list.GivenUp, Rows: list.Items,
			Children:    slices.ContainsFunc(list.Items, func(r statusz.ObjectRow) bool { return r.Child != "" }),
			Definitions: of == "" || of == "attention",
		})
	}
	return a
}

// More is how many objects are not in the list.
func (l troubleList) More() int { return l.Total - len(l.Rows) }

// objectPage is one object.
type objectPage struct {
	*statusz.ObjectReport

	Name    string
	Verdict look
}

func newObjectPage(o *statusz.ObjectReport) *objectPage {
	return &objectPage{o, clean(objectName(o.Object)), objectVerdict(o)}
}

// PathOf returns the page of an object that was written; empty if there is none, and for the object
// of this page.
func (p *objectPage) PathOf(w statusz.Write) string {
	_, name, ok := strings.Cut(w.Object, "/")
	if named := w.Kind + "/" + name; ok && w.Kind != "" && named != objectName(p.Object) {
		return namedPath(named)
	}
	return ""
}

// objectVerdict says in a word how an object is: the worst of what its definitions say. It is empty
// where this replica cannot know.
func objectVerdict(o *statusz.ObjectReport) look {
	worst, place := look{}, -1
	take := func(at int, word, class, icon string) {
		if at > place {
			worst, place = look{Word: word, Class: class, Icon: icon}, at
		}
	}
	for i := range o.Definitions {
		switch in := &o.Definitions[i]; {
		case in.GivenUp:
			take(6, "given up", "bad", "bad")
		case in.Failures > 0 || in.Error != "":
			take(5, "failing", "bad", "bad")
		case len(in.Blocked) > 0:
			take(4, "needs attention", "wait", "wait")
		case !o.Leading:
		case !in.Cached:
			take(1, "not in the cache", "idle", "paused")
		case !in.Matches:
			take(0, "not wanted", "idle", "paused")
		case in.Waiting != "nothing":
			take(3, "to be handled", "busy", "sync")
		default:
			take(2, "nothing is wrong", "ok", "ok")
		}
	}
	for _, parent := range o.ChildOf {
		if parent.Reason != "" {
			take(4, "its parent needs attention", "wait", "wait")
		}
	}
	return worst
}

// searchPage is what was found.
type searchPage struct {
	statusz.Found

	Definitions []statusz.Definition
}

// newSearchPage also looks for definitions, which are few.
func newSearchPage(found *statusz.Found, r *statusz.Report) *searchPage {
	p := &searchPage{Found: *found}
	if found.Query == "" {
		return p
	}
	text := strings.ToLower(found.Query)
	for i := range r.Definitions {
		if strings.Contains(strings.ToLower(r.Definitions[i].Name), text) && len(p.Definitions) < maxFound {
			p.Definitions = append(p.Definitions, r.Definitions[i])
		}
	}
	return p
}

// missing says that there is nothing of that name.
type missing struct{ Heading, Text string }
