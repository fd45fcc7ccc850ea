package compose

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

// labelState is what became of labels and annotations in a pass.
type labelState struct {
	failure *opError
	stale   error         // the parent has changed, and the cache does not have that yet
	again   time.Duration // after which it is to be tried again; 0 for never
	written bool          // the composer has been asked again because of a write
}

// labeling keeps the labels and annotations of the parent that the composer gives it.
type labeling struct{ *pass }

// errNotMarking is a mistake of a plugin.
var errNotMarking = errors.New("the plugin does not say that it sets labels or annotations of the parent")

// check refuses what the composer must not set.
func (l labeling) check() error {
	given := map[string]map[string]*string{"label": l.composition.Labels, "annotation": l.composition.Annotations}
	for _, what := range []string{"label", "annotation"} {
		for _, name := range slices.Sorted(maps.Keys(given[what])) {
			switch {
			case !l.Marks:
				return errNotMarking
			case IsOwnName(name):
				return fmt.Errorf("%s %s of the parent is kooperd's own", what, name) //nolint:err113 // a mistake
			}
		}
	}
	return nil
}

// IsOwnName reports whether the name of a label or annotation is one that kooperd keeps for itself.
func IsOwnName(name string) bool {
	host, _, qualified := strings.Cut(name, "/")
	return qualified && (host == finalizerDomain || strings.HasSuffix(host, "."+finalizerDomain))
}

// write sets what differs. It reports whether the parent is another one than the composer has seen.
func (l labeling) write(ctx context.Context) (changed bool) {
	before := l.labels
	l.labels = labelState{written: before.written}
	goes := l.meta.DeletionTimestamp != nil && l.composition.Finalized
	change := map[string]any{}
	for member, differ := range map[string]map[string]any{
		"labels": differing(l.composition.Labels, l.meta.Labels), "annotations": differing(l.composition.Annotations, l.meta.Annotations),
	} {
		if len(differ) > 0 {
			change[member] = differ
		}
	}
	if len(change) == 0 || goes || ctx.Err() != nil {
		return false
	}
	if before.stale != nil {
		return l.renewed(before.stale)
	}
	hash, err := l.hash()
	if err == nil && l.fought(hash, change) {
		return false
	}
	if err == nil {
		err = l.send(ctx, change)
	}
	switch {
	case err == nil:
		noteLabels(l.Memory, l.parent.UID, hash, l.labels.written, l.now())
		l.labels.written = true
		return true
	case apierrors.IsNotFound(err), ctx.Err() != nil:
		return false // The parent is gone, or the work is over.
	}
	failure := &opError{reason: reasonFor(err), err: fmt.Errorf("writing labels and annotations of the parent: %w", err)}
	if stale(err) {
		return l.renewed(failure)
	}
	l.labels.failure = failure
	return false
}

// renewed takes the parent from the cache after an error that says that it has changed. It reports
// whether it is there already: else the next call has it.
func (l labeling) renewed(err error) bool {
	now, ok := l.Parents.GetByUID(l.parent.UID)
	if !ok || now.ResourceVersion() == l.object.ResourceVersion() {
		l.labels.stale = err
		return false
	}
	l.setParent(now)
	return true
}

// differing returns what a merge patch needs to make of live values what is wanted.
func differing(want map[string]*string, live map[string]string) map[string]any {
	differ := map[string]any{}
	for name, value := range want {
		have, there := live[name]
		switch {
		case value == nil && there:
			differ[name] = nil
		case value != nil && (!there || have != *value):
			differ[name] = *value
		}
	}
	return differ
}

// send writes a change of the parent as it is known.
func (l labeling) send(ctx context.Context, change map[string]any) error {
	metadata := maps.Clone(change)
	metadata["uid"], metadata["resourceVersion"] = l.parent.UID, l.object.ResourceVersion()
	body, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return fmt.Errorf("encoding them: %w", err)
	}
	l.Memory.beginParentWrite(l.parent.UID)
	answer, err := l.Client.mergePatch(ctx, target{kind: l.Kind, namespace: l.parent.Namespace, name: l.parent.Name}, body)
	if err != nil {
		answer = nil
	}
	l.Memory.endParentWrite(l.parent.UID, "", answer)
	if err == nil {
		l.setParent(answer)
	}
	return err
}

// hash is that of what is wanted.
func (l labeling) hash() (string, error) {
	text, err := json.Marshal([]any{l.composition.Labels, l.composition.Annotations})
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), err
}

// labelMemory is what is remembered of the labels and annotations of one parent.
type labelMemory struct {
	hash string // of what was wanted when they were written last
	reverts
	// answers are the writes of what the composer has said only after another write, whatever it
	// was.
	answers reverts
}

// fought reports whether another party sets back what is wanted again and again, or the composer
// wants something else after each write, so that it is not to be written yet.
func (l labeling) fought(hash string, change map[string]any) bool {
	until, unsettled := labelsUntil(l.Memory, l.parent.UID, hash, l.now())
	if until.IsZero() {
		return false
	}
	var names []string
	for _, member := range []string{"labels", "annotations"} {
		differ, _ := change[member].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(differ)) {
			names = append(names, fmt.Sprintf("metadata.%s[%q]", member, name))
		}
	}
	text := "another party sets %s of the parent again and again. It is set back less and less often, at most every 5 minutes in the end"
	if unsettled {
		text = "%s of the parent does not settle: the plugin wants another value each time it is asked, also because of its last one. " +
			"It is written less and less often, at most every 5 minutes in the end. " +
			"Make the plugin's answer depend on nothing but what it is given, so not on the time or on chance"
	}
	l.labels.failure = &opError{reason: ReasonFight, err: fmt.Errorf(text, strings.Join(names, ", "))} //nolint:err113 // for a person
	l.labels.again = until.Sub(l.now())
	return true
}

// noteLabels notes a write. One of what was written before sets something back. after says that it
// comes of an answer to another write.
func noteLabels(m *Memory, parent types.UID, hash string, after bool, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := &m.of(parent).labels
	if of.hash != hash || !now.Before(of.calm()) {
		of.hash, of.reverts = hash, reverts{}
	} else {
		of.n++
	}
	of.last = now
	if !now.Before(of.answers.calm()) {
		of.answers = reverts{}
	}
	if after || of.answers.isDamped() {
		of.answers.n++
		of.answers.last = now
	}
}

// labelsUntil returns until when nothing is to be written, zero if it may be, and whether the
// composer is why.
func labelsUntil(m *Memory, parent types.UID, hash string, now time.Time) (until time.Time, unsettled bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	if p == nil {
		return time.Time{}, false
	}
	if p.labels.hash == hash && p.labels.isDamped() {
		until = p.labels.until()
	}
	if answers := &p.labels.answers; answers.isDamped() && answers.until().After(until) {
		until, unsettled = answers.until(), true
	}
	if !now.Before(until) {
		return time.Time{}, false
	}
	return until, unsettled
}
