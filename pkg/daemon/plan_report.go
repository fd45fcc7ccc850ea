package daemon

import (
	"cmp"
	"slices"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/engine"
)

// planReport is what the command prints as JSON.
type planReport struct {
	Definitions []planDefinition `json:"definitions"`
	Changes     []planChange     `json:"changes"`
	Failures    []planFailure    `json:"failures"`
	Notes       []string         `json:"notes,omitempty"`
}

// planDefinition sums up a definition.
type planDefinition struct {
	Name    string             `json:"name"`
	State   engine.PlanState   `json:"state"`
	Objects int                `json:"objects"`
	Counts  map[planAction]int `json:"counts"`
	New     bool               `json:"new,omitempty"`
	Why     string             `json:"why,omitempty"`
	Missing []string           `json:"missing,omitempty"`
	Notes   []string           `json:"notes,omitempty"`
}

// planChange is what would become of one object. Object is the one that the definition handles, for
// which it is done.
type planChange struct {
	Definition  string         `json:"definition"`
	Object      tryParent      `json:"object"`
	Action      planAction     `json:"action"`
	Reason      compose.Reason `json:"reason"`
	Child       string         `json:"child,omitempty"`
	Patch       bool           `json:"patch,omitempty"`
	APIVersion  string         `json:"apiVersion"`
	Kind        string         `json:"kind"`
	Namespace   string         `json:"namespace,omitempty"`
	Name        string         `json:"name"`
	Why         string         `json:"why,omitempty"`
	Unconfirmed string         `json:"unconfirmed,omitempty"`
	planStates
}

// planStates are the object before and after; null for one that there is not, or that is left.
type planStates struct {
	Before map[string]any `json:"before,omitempty"`
	After  map[string]any `json:"after,omitempty"`
}

// String is the object as people name it.
func (c *planChange) String() string {
	return tryParent{Kind: c.Kind, Namespace: c.Namespace, Name: c.Name}.String()
}

// planFailure is why it is not known what would become of something.
type planFailure struct {
	Definition string     `json:"definition,omitempty"`
	Object     *tryParent `json:"object,omitempty"`
	Error      string     `json:"error"`
	At         string     `json:"at,omitempty"`
}

// planAction is what would be done with an object.
type planAction string

// The actions that try does not have. The others are those of try.
const (
	planHandOver planAction = "handOver"
	planOrphan   planAction = "orphan"
	planHold     planAction = "hold"
	planObject   planAction = "object"
)

// planActions are all that are shown, in the order in which they are.
var planActions = []planAction{
	planAction(tryCreate), planAction(tryChange), planAction(tryRecreate), planAction(tryAdopt), planHandOver, planAction(tryDelete),
	planAction(tryWithdraw), planOrphan, planAction(tryRetain), planAction(tryWait), planHold, planAction(tryRefuse), planObject,
}

// changes reports whether anything would be changed, now or later.
func (r *planReport) changes() bool {
	return slices.ContainsFunc(r.Changes, func(c planChange) bool {
		switch c.Action {
		case planAction(tryRefuse):
			return false
		case planAction(tryRetain):
			return c.Reason == compose.ReasonRemoved
		case planAction(tryWait):
			return c.Reason != compose.ReasonDeleting
		}
		return true
	})
}

// failed reports whether something could not be worked out, or would be refused.
func (r *planReport) failed() bool {
	return len(r.Failures) > 0 || slices.ContainsFunc(r.Changes, func(c planChange) bool { return c.Action == planAction(tryRefuse) })
}

// sort puts the changes in the order of the definitions, of the objects and of the children.
func (r *planReport) sort() {
	slices.SortStableFunc(r.Changes, func(a, b planChange) int {
		return cmp.Or(cmp.Compare(a.Definition, b.Definition), cmp.Compare(a.Object.Namespace, b.Object.Namespace),
			cmp.Compare(a.Object.Name, b.Object.Name))
	})
}

// count counts the changes of each definition.
func (r *planReport) count() {
	for i := range r.Definitions {
		d := &r.Definitions[i]
		d.Counts = map[planAction]int{}
		for _, c := range r.Changes {
			if c.Definition == d.Name {
				d.Counts[c.Action]++
			}
		}
	}
}
