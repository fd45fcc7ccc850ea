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
	// Formerly are ids that the definition has had before: what was made under them is its own.
	Formerly []string
	// Status says what is written to the status of the objects.
	Status Status
	// OnRemove is what becomes of children that the file does not want any more. Default: retain;
	// empty for a plugin that makes no composers.
	OnRemove OnRemove
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
			l.report.Add(l.doc.ValuePosition(at), at, fmt.Sprintf("the %s plugin makes no children, which it is for", handler.Plugin()), "leave it out")
		}
	}
}

// identities reports ids that two definitions have or claim.
func identities(definitions []Definition) (problems []problem) {
	composers := slices.DeleteFunc(slices.Clone(definitions), func(def Definition) bool { return !def.Handler.Composes() })
	holder := map[string]string{} // the name of the definition, by its id
	for _, def := range composers {
		if first, taken := holder[def.IDs()[0]]; taken {
			problems = append(problems, problem{
				at: diagnostic.Path{"controllers", def.Name, "id"}, instead: []diagnostic.Path{{"controllers", def.Name}},
				message: fmt.Sprintf("controller %q has the same id %q, which is its name if it says nothing else", first, def.IDs()[0]),
				hint:    "give each its own",
			})
			continue
		}
		holder[def.IDs()[0]] = def.Name
	}
	heir := map[string]string{} // the name of the definition that goes on for an id
	for _, def := range composers {
		for i, id := range def.Formerly {
			at := diagnostic.Path{"controllers", def.Name, "formerly", diagnostic.IndexStep(i)}
			message, hint := "", "leave it out"
			switch first, claimed := heir[id]; {
			case id == def.IDs()[0]:
				message = fmt.Sprintf("%q is its id now", id)
			case slices.Contains(def.Formerly[:i], id):
				message = fmt.Sprintf("%q is there twice", id)
			case holder[id] != "":
				message = fmt.Sprintf("%q is the id of controller %q, which keeps its children", id, holder[id])
				hint = "name ids alone that no definition has any more"
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

// IDs returns the id of a definition, and after it those that it has had before. An empty ID stands
// for the name.
func (d Definition) IDs() []string { return append([]string{cmp.Or(d.ID, d.Name)}, d.Formerly...) }
