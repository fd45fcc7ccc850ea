package compose

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// Identity is which children are those of a definition.
type Identity struct {
	// Installation is the mark of the installation.
	Installation string
	// Definition is the id of the definition.
	Definition string
	// Formerly are ids that it has had before. What was made under these is its own, and gets the
	// mark of now when it is applied.
	Formerly []string
}

func (in Input) identity() Identity {
	return Identity{Installation: in.Installation, Definition: in.Definition, Formerly: in.Formerly}
}

// has reports whether a definition of that id is this one, by its id of now or before.
func (i Identity) has(definition string) bool {
	return definition == i.Definition || slices.Contains(i.Formerly, definition)
}

// selector selects what was made by the definition.
func (i Identity) selector() labels.Selector {
	requirement, err := labels.NewRequirement(DefinitionLabel, selection.In, append([]string{i.Definition}, i.Formerly...))
	if err != nil {
		return labels.Nothing() // The ids are DNS labels.
	}
	return labels.NewSelector().Add(*requirement)
}

// successor returns the index of the child that has a name, or else of the first that has had it.
// Without one it is -1.
func successor(p *planner, name string) int {
	if i, ok := p.byName[name]; ok {
		return i
	}
	return slices.IndexFunc(p.Desired, func(d *Desired) bool { return slices.Contains(d.Formerly, name) })
}

// OfDefinition selects what was made by the definition, under its id of now or before.
func (r *Reconciler) OfDefinition() labels.Selector { return r.selector() }

// formerFinalizers are those that parents may carry from before.
func (i Identity) formerFinalizers() []string {
	names := make([]string, len(i.Formerly))
	for n, id := range i.Formerly {
		names[n] = FinalizerOf(i.Installation, id)
	}
	return names
}
