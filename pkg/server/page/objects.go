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
			trouble: t, Of: of, Total: list.Total, Rows: list.Items,
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

	Name string
}

func newObjectPage(o *statusz.ObjectReport) *objectPage {
	return &objectPage{o, clean(objectName(o.Object))}
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
