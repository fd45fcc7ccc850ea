package engine

import (
	"strings"

	"kooperd.dev/kooperd/pkg/statusz"
)

// addKinds says of which kinds the objects are that were written in the calls of a report.
func addKinds(controllers []*controller, report *statusz.ObjectReport) {
	kinds := map[string]string{} // by what was written: calls write the same again and again
	for i := range report.Definitions {
		for j := range report.Definitions[i].Handlings {
			writes := report.Definitions[i].Handlings[j].Writes
			for k := range writes {
				kind, known := kinds[writes[k].Object]
				if !known {
					kind = kindOfWritten(controllers, writes[k].Object)
					kinds[writes[k].Object] = kind
				}
				writes[k].Kind = kind
			}
		}
	}
}

// kindOfWritten returns the kind of an object that is named by its resource. It is empty unless a
// definition watches the object, or has made it: of others, there is nothing to report.
func kindOfWritten(controllers []*controller, written string) string {
	ref, ok := writtenRef(written)
	if !ok {
		return ""
	}
	for _, c := range controllers {
		current, _ := c.rollout.revisions()
		if current == nil || !current.watches.opened.Load() {
			continue
		}
		if kind := current.def.Watch.Kind; isOfKind(ref, kind) {
			if _, cached := current.watches.primary().Get(ref.Namespace, ref.Name); cached {
				return kind.Kind
			}
		}
		if current.composing == nil {
			continue
		}
		for _, parent := range (reported{c}).parentsOf(current, ref) {
			kind, _, _ := strings.Cut(parent.Child, "/")
			return kind
		}
	}
	return ""
}

// writtenRef reads RESOURCE/NAMESPACE/NAME, or RESOURCE/NAME, as statusz.Write has it. Where the
// name is missing, it names another object or none, which is in no cache.
func writtenRef(written string) (statusz.ObjectRef, bool) {
	parts := strings.Split(written, "/")
	switch len(parts) {
	case 2:
		return statusz.ObjectRef{Kind: parts[0], Name: parts[1]}, true
	case 3:
		return statusz.ObjectRef{Kind: parts[0], Namespace: parts[1], Name: parts[2]}, true
	default:
		return statusz.ObjectRef{}, false
	}
}
