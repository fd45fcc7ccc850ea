package config

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/handlers"
)

// checkComposer reports what does not go together with the plugin's being one of composers, or not.
// written is the definition as the file has it.
func (l *loader) checkComposer(def Definition, written *language.Controller, handler handlers.Bound) {
	at := diagnostic.Path{"controllers", def.Name}
	l.checkConditionPrefix(def, handler)
	report := func(field, message string) {
		l.report.Add(l.doc.ValuePosition(at.With(field)), at.With(field), fmt.Sprintf(message, handler.Plugin()), l.leaveOut(handler))
	}
	if !handler.Composes() {
		if written.Status != "" {
			report("status", "the %s plugin makes no composers, whose parents' status kooperd keeps")
		}
		if written.OnRemove != "" {
			report("onRemove", "the %s plugin makes no composers, whose children kooperd keeps")
		}
	} else if def.EveryReplica {
		report("leaderElection", "the %s plugin cannot run on every replica: all of them would write the same children")
	}
}

// leaveOut is the hint about a field that is for composers. A plugin may make them of another
// config.
func (l *loader) leaveOut(handler handlers.Bound) string {
	if d, _ := l.registry.Describe(handler.Plugin()); d.Composes && !handler.Composes() {
		return fmt.Sprintf("leave it out; with another config, the %s plugin makes composers", handler.Plugin())
	}
	return "leave it out"
}

// checkConditionPrefix reports a prefix of conditions that are not written.
func (l *loader) checkConditionPrefix(def Definition, handler handlers.Bound) {
	hint := l.leaveOut(handler)
	var message string
	switch {
	case def.Status.ConditionPrefix == "":
		return
	case !handler.Composes():
		message = fmt.Sprintf("the %s plugin makes no composers, whose parents' conditions kooperd keeps", handler.Plugin())
	case def.Status.None:
		message, hint = `the definition says status: "none", so no condition is written`, "leave one of both out"
	case scheme.Scheme.Recognizes(def.Watch.Kind):
		message = fmt.Sprintf("the status of a %s is that of Kubernetes itself, so no condition is written", def.Watch.Kind.Kind)
	default:
		return
	}
	at := diagnostic.Path{"controllers", def.Name, "conditionPrefix"}
	l.report.Add(l.doc.ValuePosition(at), at, message, hint)
}

// maxRecordedLease is how long the name of a lease may be where there are composers: that of the
// ConfigMap in which is noted what they own is longer by "-definitions".
const maxRecordedLease = validation.DNS1123SubdomainMaxLength - len("-definitions")

// longLease reports a lease whose name is too long for the ConfigMap that composers need.
func longLease(cfg *Config) []problem {
	name := cfg.LeaderElection.Name
	composes := func(def Definition) bool { return def.Handler.Composes() }
	if len(name) <= maxRecordedLease || len(name) > validation.DNS1123SubdomainMaxLength || !slices.ContainsFunc(cfg.Definitions, composes) {
		return nil
	}
	return []problem{{
		at: diagnostic.Path{"leaderElection", "name"},
		message: fmt.Sprintf("has %d characters: the ConfigMap %s-definitions, in which is noted what composers own, would have a name that is too long",
			len(name), name),
		hint: fmt.Sprintf("want at most %d", maxRecordedLease),
	}}
}

// sharedStatuses reports definitions that would write the status of the same objects in turn.
func sharedStatuses(definitions []Definition) (problems []problem) {
	writes := func(def Definition) bool {
		return def.Handler.Composes() && !def.Status.None && !scheme.Scheme.Recognizes(def.Watch.Kind)
	}
	for i, def := range definitions {
		if !writes(def) {
			continue
		}
		same := func(other Definition) bool {
			return writes(other) && other.Status.ConditionPrefix == def.Status.ConditionPrefix && other.Watch.Kind.GroupKind() == def.Watch.Kind.GroupKind() && overlap(other, def) && mayMeet(other, def)
		}
		if first := slices.IndexFunc(definitions[:i], same); first >= 0 {
			problems = append(problems, problem{
				at: diagnostic.Path{"controllers", def.Name, "watch"},
				message: fmt.Sprintf("controller %q writes the status of the same %s objects: each would undo what the other has written",
					definitions[first].Name, def.Watch.Kind.Kind),
				hint: fmt.Sprintf("write status: %q in one of them, or a conditionPrefix that no other one has", language.StatusNone),
			})
		}
	}
	return problems
}

// mayMeet reports whether two definitions of one kind may watch the same object by their label
// selectors: that is known of those alone that ask for different values of one label.
func mayMeet(a, b Definition) bool {
	if a.Watch.LabelSelector == nil || b.Watch.LabelSelector == nil {
		return true
	}
	requirements, _ := a.Watch.LabelSelector.Requirements()
	for _, r := range requirements {
		value, exact := b.Watch.LabelSelector.RequiresExactMatch(r.Key())
		if own, also := a.Watch.LabelSelector.RequiresExactMatch(r.Key()); exact && also && own != value {
			return false
		}
	}
	return true
}
