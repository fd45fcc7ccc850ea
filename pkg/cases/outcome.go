package cases

import (
	"reflect"
	"slices"
)

// Section names a part of an Outcome.
type Section string

// The sections.
const (
	Excluded      Section = "excluded"      // a text: why the definition does not handle the object
	Error         Section = "error"         // a text
	ProblemTexts  Section = "problems"      // texts
	Refused       Section = "refused"       // a text for each child and patch
	Pending       Section = "pending"       // a text for each child
	Waiting       Section = "waiting"       // a text for each child
	Deleted       Section = "deleted"       // texts that name objects
	Children      Section = "children"      // an object for each child
	Patches       Section = "patches"       // an object for each patch
	Metadata      Section = "metadata"      // an object: labels and annotations of the parent
	Status        Section = "status"        // an object
	StatusPending Section = "statusPending" // texts: parts of the status that are not known yet
	Conditions    Section = "conditions"    // an object for each condition
	RequeueAfter  Section = "requeueAfter"  // a text
)

// shape is what the value of a section looks like.
type shape int

const (
	oneText      shape = iota // a string
	texts                     // []any of strings
	namedTexts                // map[string]any of strings
	oneObject                 // map[string]any
	namedObjects              // map[string]any of map[string]any
)

// section is what is known of a section.
type section struct {
	name  Section
	shape shape
	// trouble is true for one that is compared although nothing is said of it: there must be none.
	trouble bool
}

// sections has all of them, in the order in which they are written.
var sections = []section{
	{Excluded, oneText, true}, {Error, oneText, true}, {ProblemTexts, texts, true}, {Refused, namedTexts, true},
	{Pending, namedTexts, true}, {Waiting, namedTexts, true}, {Deleted, texts, true},
	{Children, namedObjects, false}, {Patches, namedObjects, false}, {Metadata, oneObject, false},
	{Status, oneObject, false}, {StatusPending, texts, false}, {Conditions, namedObjects, false}, {RequeueAfter, oneText, false},
}

// Outcome is what comes of a case, or should: JSON values by section. What is empty is not there.
type Outcome map[Section]any

// Set sets a section, unless the value is empty.
func (o Outcome) Set(name Section, value any) {
	if !isEmpty(value) {
		o[name] = value
	}
}

func isEmpty(value any) bool {
	v := reflect.ValueOf(value)
	return !v.IsValid() || (v.Kind() == reflect.Map || v.Kind() == reflect.Slice || v.Kind() == reflect.String) && v.Len() == 0
}

// Difference is one thing that is not as expected.
type Difference struct {
	// Section is where it is, and Name which entry there, such as the name of a child; empty where
	// the whole section differs.
	Section Section
	Name    string
	// Want and Got are JSON values; nil for nothing.
	Want, Got any
}

func (d Difference) String() string {
	switch d.Section {
	case Children:
		return "child " + d.Name
	case Patches:
		return "patch " + d.Name
	case Conditions:
		return "condition " + d.Name
	}
	if d.Name != "" {
		return string(d.Section) + " " + d.Name
	}
	return string(d.Section)
}

// Compare compares what came with what is expected. What is not said is not compared, but for what
// is wrong, waits or is deleted. Both have to be normal, as Normal makes values.
func Compare(want, got Outcome) (differences []Difference) {
	for _, s := range sections {
		wanted, said := want[s.name]
		if !said && !s.trouble {
			continue
		}
		if s.shape != namedObjects && s.shape != namedTexts {
			if !same(wanted, got[s.name]) {
				differences = append(differences, Difference{Section: s.name, Want: wanted, Got: got[s.name]})
			}
			continue
		}
		wantedEntries, _ := wanted.(map[string]any)
		entries, _ := got[s.name].(map[string]any)
		for _, name := range namesOf(wantedEntries, entries) {
			have := keepRedacted(wantedEntries[name], entries[name])
			if !same(wantedEntries[name], have) {
				differences = append(differences, Difference{Section: s.name, Name: name, Want: wantedEntries[name], Got: have})
			}
		}
	}
	return differences
}

// same compares values; what is empty is the same as what is not there, at the top.
func same(a, b any) bool { return isEmpty(a) && isEmpty(b) || reflect.DeepEqual(a, b) }

// namesOf returns the keys of two objects, sorted.
func namesOf(a, b map[string]any) (names []string) {
	for name := range a {
		names = append(names, name)
	}
	for name := range b {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Update returns what should be expected of what came: of a case that expects something, the same
// sections and what has to be said, and of one that expects nothing, all of it.
func Update(want, got Outcome) Outcome {
	updated := Outcome{}
	known := got[Error] == nil && got[Excluded] == nil
	for _, s := range sections {
		_, said := want[s.name]
		value, is := got[s.name]
		switch {
		case is && (said || s.trouble || want == nil):
			updated[s.name] = keepAllRedacted(want[s.name], value)
		case known && !s.trouble && (said || want == nil && s.name == Children):
			updated[s.name] = emptyOf(s.shape) // That there is none is to be compared, too.
		}
	}
	return updated
}

// Loses reports whether Update would forget what was expected, because nothing is known of it now.
func Loses(want, got Outcome) bool {
	if got[Error] == nil && got[Excluded] == nil {
		return false
	}
	return slices.ContainsFunc(sections, func(s section) bool {
		_, said := want[s.name]
		_, is := got[s.name]
		return said && !s.trouble && !is
	})
}

// keepAllRedacted is keepRedacted for each of several objects.
func keepAllRedacted(want, got any) any {
	wanted, _ := want.(map[string]any)
	entries, ok := got.(map[string]any)
	if !ok || len(wanted) == 0 {
		return got
	}
	kept := make(map[string]any, len(entries))
	for name, entry := range entries {
		kept[name] = keepRedacted(wanted[name], entry)
	}
	return kept
}

// emptyOf is what a section without anything in it looks like.
func emptyOf(s shape) any {
	switch s {
	case oneText:
		return ""
	case texts:
		return []any{}
	default:
		return map[string]any{}
	}
}
