package config

import (
	"cmp"
	"fmt"
	"slices"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/handlers"
)

// Children is what only the definition of a composer says.
type Children struct {
	// ID is what the children know the definition by; empty stands for the name. See IDs.
	ID string
	// Formerly are ids that the definition has had before, and that no other one has now: what was
	// made under them is its own.
	Formerly []string
	// Donors are ids in formerly that other definitions have: of what was made under them for the
	// same object, the definition takes over what it wants and the other one does not.
	Donors []string
	// Status says what is written to the status of the objects.
	Status Status
	// OnRemove is what becomes of children that the file does not want any more. Default: retain;
	// empty for a plugin that makes no composers.
	OnRemove OnRemove
	// Rollout bounds how many objects are changed at a time; nil, the default, does not.
	Rollout *Rollout
}

// checkIdentity reports an id and former ids of a definition whose handler makes no children.
func (l *loader) checkIdentity(name string, c *language.Controller, handler handlers.Bound) {
	if handler.Composes() {
		return
	}
	for _, field := range []struct {
		name    string
		written bool
	}{{"id", c.ID != ""}, {"formerly", len(c.Formerly) > 0}} {
		if at := (diagnostic.Path{"controllers", name, field.name}); field.written {
			l.report.Add(l.doc.ValuePosition(at), at, fmt.Sprintf("the %s plugin makes no children, which it is for", handler.Plugin()), l.leaveOut(handler))
		}
	}
}

// splitFormerly finds out which of the former ids are those of definitions that go on. It is called
// when all handlers are known.
func splitFormerly(definitions []Definition) {
	present := map[string]bool{}
	for _, def := range definitions {
		if def.Handler.Composes() {
			present[def.IDs()[0]] = true
		}
	}
	for i := range definitions {
		var gone, donors []string
		for _, id := range definitions[i].Formerly {
			if present[id] {
				donors = append(donors, id)
			} else {
				gone = append(gone, id)
			}
		}
		definitions[i].Formerly, definitions[i].Donors = gone, donors
	}
}

// identities reports ids that two definitions have, and former ids that cannot be. It is called
// before splitFormerly.
func identities(definitions []Definition) (problems []problem) {
	composers := slices.DeleteFunc(slices.Clone(definitions), func(def Definition) bool { return !def.Handler.Composes() })
	holder := map[string]Definition{} // by its id
	for _, def := range composers {
		if first, taken := holder[def.IDs()[0]]; taken {
			problems = append(problems, problem{
				at: diagnostic.Path{"controllers", def.Name, "id"}, instead: []diagnostic.Path{{"controllers", def.Name}},
				message: fmt.Sprintf("controller %q has the same id %q, which is its name if it says nothing else", first.Name, def.IDs()[0]),
				hint:    "give each its own",
			})
			continue
		}
		holder[def.IDs()[0]] = def
	}
	return append(problems, formerIDs(composers, holder)...)
}

// formerIDs reports former ids that cannot be. holder has the definitions by the ids of now.
func formerIDs(composers []Definition, holder map[string]Definition) (problems []problem) {
	heir := map[string]string{} // the name of the definition that goes on for an id that is gone
	for _, def := range composers {
		for i, id := range def.Formerly {
			at := diagnostic.Path{"controllers", def.Name, "formerly", diagnostic.IndexStep(i)}
			message, hint := "", "leave it out"
			first, claimed := heir[id]
			donor, present := holder[id]
			switch {
			case id == def.IDs()[0]:
				message = fmt.Sprintf("%q is its id now", id)
			case slices.Contains(def.Formerly[:i], id):
				message = fmt.Sprintf("%q is there twice", id)
			case present && donor.Watch.Kind.GroupKind() != def.Watch.Kind.GroupKind():
				message = fmt.Sprintf("%q is the id of controller %q, which handles %s objects: their children cannot become those of a %s",
					id, donor.Name, donor.Watch.Kind.Kind, def.Watch.Kind.Kind)
			case present && (isAboutChanges(def) || isAboutChanges(donor)):
				message = fmt.Sprintf("%q is the id of controller %q, and one of the two has a where that names oldObject: "+
					"it never says what it wants of an object that has not changed", id, donor.Name)
				hint = "write a where that goes by object alone"
			case present: // Of what is made under it, each definition has what it wants.
			case claimed:
				message = fmt.Sprintf("controller %q goes on for %q already", first, id)
				hint = "say it in one of them"
			default:
				heir[id] = def.Name
			}
			if message != "" {
				problems = append(problems, problem{
					at: at, instead: []diagnostic.Path{{"controllers", def.Name, "formerly"}}, message: message, hint: hint,
				})
			}
		}
	}
	return problems
}

// isAboutChanges reports whether a definition is not called for all objects that it handles.
func isAboutChanges(def Definition) bool {
	condition := def.Filter.Where()
	return condition != nil && condition.IsAboutChanges()
}

// IDs returns the id of a definition, and after it those that it has had before and that no other
// one has now. An empty ID stands for the name.
func (d Definition) IDs() []string { return append([]string{cmp.Or(d.ID, d.Name)}, d.Formerly...) }
