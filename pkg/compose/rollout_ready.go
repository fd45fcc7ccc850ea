package compose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes/scheme"
)

// isReadyAsItIs reports whether all children that there are of the parent are ready, whatever is
// desired, and it was not left when only some of them were made.
func (p rolling) isReadyAsItIs() bool {
	return p.notReadyChild() == "" && !p.isHalfMade()
}

// notReadyChild says which of the children that there are is not ready, and why; empty if all are.
func (p rolling) notReadyChild() string {
	for _, op := range p.ops {
		if !p.isOwn(op) {
			continue
		}
		if ready, why := isChildReady(op); !ready {
			return fmt.Sprintf("%s: %s", op.ID, why)
		}
	}
	return ""
}

// blocked says what the parent is not ready for, as it is: one of its children, or what its status
// says since it was last brought in line. It is empty if it is ready.
func (p rolling) blocked() string {
	if child := p.notReadyChild(); child != "" {
		return "NotReady: " + child
	}
	if p.Status.None || scheme.Scheme.Recognizes(p.Kind) {
		return "" // Whatever its status says is said by others.
	}
	c, ok := readyIn(p.parentStatus(), p.Status.ConditionPrefix)
	if !ok || c["status"] != "False" {
		return ""
	}
	reason, _ := c["reason"].(string)
	message, _ := c["message"].(string)
	why := slices.DeleteFunc([]string{reason, message}, func(text string) bool { return text == "" })
	if len(why) == 0 {
		return fmt.Sprintf("its condition %s is False", p.Status.ConditionPrefix+conditionReady)
	}
	return strings.Join(why, ": ")
}

// isHalfMade reports whether a child is absent of a parent whose status says that it is not ready,
// for another reason than an error: the parent may have got some of what is desired before a
// restart. Without that status, the child may as well be one that is new in what is desired.
func (p rolling) isHalfMade() bool {
	if !slices.ContainsFunc(p.ops, func(op Op) bool { return op.Desired != nil && op.Observed == nil }) {
		return false
	}
	status, prefix := p.parentStatus(), p.Status.ConditionPrefix
	ready, said := conditionIn(status, prefix+conditionReady)
	degraded, _ := conditionIn(status, prefix+conditionDegraded)
	return said && ready["status"] == "False" && degraded["status"] != "True"
}

// isChildReady reports whether the object of an op is ready as it is, and if not, why.
func isChildReady(op Op) (ready bool, why string) {
	d := op.Desired
	if d == nil {
		d = &Desired{}
	}
	switch {
	case op.Observed.Deleting:
		return false, "it is being deleted" + waitingFor(op.Observed.Finalizers)
	case op.Observed.Ready == nil:
		return true, ""
	}
	return op.Observed.Ready(d)
}

// ownStatus is the status of the parent, if the definition writes all of it; else nil.
func (p rolling) ownStatus() map[string]any {
	if p.Status.None || p.Status.ConditionPrefix != "" || scheme.Scheme.Recognizes(p.Kind) {
		return nil
	}
	return p.parentStatus()
}

func (p rolling) parentStatus() map[string]any {
	text, err := p.object.JSON()
	if err != nil {
		return nil
	}
	tree, err := decodeTree(text)
	if err != nil {
		return nil
	}
	status, _ := tree["status"].(map[string]any)
	return status
}

// wasHandled reports whether the parent has a status that a pass has written.
func (p rolling) wasHandled() bool {
	_, ready := readyIn(p.ownStatus(), "")
	return ready
}

// isWished reports whether the parent's status is about an earlier specification.
func (p rolling) isWished() bool {
	observed, ok := p.ownStatus()["observedGeneration"].(int64)
	return ok && observed < p.meta.Generation
}

// notReadySince is since when the parent is not ready, as its status says, or now.
func (p rolling) notReadySince() time.Time {
	c, ok := readyIn(p.parentStatus(), p.Status.ConditionPrefix)
	if text, _ := c["lastTransitionTime"].(string); ok && c["status"] == "False" {
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			return at
		}
	}
	return p.now().Round(0) // As parsed times are: those of one kind have one order, also when the clock is set.
}

// readyIn returns the condition Ready of a status, or false.
func readyIn(status map[string]any, prefix string) (map[string]any, bool) {
	return conditionIn(status, prefix+conditionReady)
}

func conditionIn(status map[string]any, kind string) (map[string]any, bool) {
	for _, c := range conditions(map[string]any{"status": status}) {
		if c["type"] == kind {
			return c, true
		}
	}
	return nil, false
}
