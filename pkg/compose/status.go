package compose

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/handlers"
)

const (
	// maxStatus is how large a status may be, in bytes.
	maxStatus = 32 << 10
	// statusTries is how often a status is computed anew because the parent has changed.
	statusTries = 3
)

// statusWriter writes the status of the parents of one kind.
type statusWriter struct {
	kind   schema.GroupVersionKind
	client *Client
	logger logr.Logger
	shape  *statusShape
}

// statusChange is what is to be written of a status.
type statusChange struct {
	fields map[string]any // the composer's, all but conditions; nil where they are left alone
	given  []any          // the composer's conditions
	own    []condition    // those of kooperd
}

// writeStatus brings the parent's status in line with the composition and the plan. A composer that
// is called later has said nothing yet, which is worth a write only when it goes on. Nothing is
// said of a parent that has changed and is not known as it is.
func (p *pass) writeStatus(ctx context.Context) error {
	if p.labels.stale != nil {
		return p.labels.stale
	}
	if putOff(p.err) && p.req.Attempt < fewFailures {
		return nil
	}
	change := statusChange{own: rolling{p}.noted(p.conditions())}
	if p.err == nil && p.composition.Status != nil {
		text, err := json.Marshal(p.composition.Status)
		if err != nil {
			return &composeError{err: fmt.Errorf("encoding the status: %w", err)}
		}
		said, err := decodeTree(text)
		if err != nil || said == nil {
			return &composeError{err: fmt.Errorf("the status is no JSON object, it is a %T", p.composition.Status)} //nolint:err113 // a mistake
		}
		withoutNulls(said)
		change.given, _ = said["conditions"].([]any)
		if _, alone := p.composition.Status.(handlers.Conditions); !alone {
			change.fields = said
		}
	}
	return p.putStatus(ctx, change)
}

// writeConditions leaves everything but conditions alone.
func (p *pass) writeConditions(ctx context.Context, conditions []condition) error {
	return p.putStatus(ctx, statusChange{own: conditions})
}

// putStatus writes the status if it is another one.
func (c *current) putStatus(ctx context.Context, change statusChange) error {
	c.said = change.own
	if c.Status.None || scheme.Scheme.Recognizes(c.Kind) {
		return nil // Built-in kinds have a status of their own makers.
	}
	fields, err := c.status.fields(ctx, change.fields)
	if err != nil || !fields.served {
		return err
	}
	for range statusTries {
		err = c.tryStatus(ctx, fields, change)
		if !apierrors.IsConflict(err) {
			break
		}
		now, ok := c.Parents.GetByUID(c.parent.UID)
		if !ok {
			return nil // It is gone.
		}
		if now.ResourceVersion() == c.object.ResourceVersion() {
			break // The cache does not have the change yet: the retry has it.
		}
		c.setParent(now)
	}
	if apierrors.IsNotFound(err) {
		return nil // The parent is gone.
	}
	return err
}

func (c *current) tryStatus(ctx context.Context, fields statusFields, said statusChange) error {
	text, err := c.object.JSON()
	if err != nil {
		return err
	}
	tree, err := decodeTree(text)
	if err != nil {
		return fmt.Errorf("reading the parent: %w", err)
	}
	live, _ := tree["status"].(map[string]any)
	want := c.desiredStatus(fields, live, said)
	change := mergePatch(live, want)
	if len(change) == 0 {
		return nil
	}
	encoded, err := json.Marshal(want)
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	if len(encoded) > maxStatus {
		return &opError{reason: reasonInvalid, err: fmt.Errorf("the status has %d bytes, at most %d are allowed", len(encoded), maxStatus)} //nolint:err113 // for a person
	}
	sum := sha256.Sum256(encoded)
	hash := hex.EncodeToString(sum[:])
	if c.Memory.wroteStatus(c.parent.UID, hash, c.object.ResourceVersion()) {
		return nil // The API server keeps something else of it.
	}
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": c.parent.UID, "resourceVersion": c.object.ResourceVersion()}, "status": change,
	})
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	t := target{kind: c.Kind, namespace: c.parent.Namespace, name: c.parent.Name}
	c.Memory.beginParentWrite(c.parent.UID)
	answer, err := c.Client.patchStatus(ctx, t, body)
	if err != nil {
		answer = nil
	}
	c.Memory.endParentWrite(c.parent.UID, hash, answer)
	if err != nil {
		if stale(err) && !apierrors.IsConflict(err) {
			return nil // Another object has the name: its own call is to come.
		}
		return fmt.Errorf("writing the status: %w", err)
	}
	c.Metrics.StatusWritten()
	c.setParent(answer)
	return nil
}

// desiredStatus is the whole status as it should be.
func (c *current) desiredStatus(fields statusFields, live map[string]any, said statusChange) map[string]any {
	want := maps.Clone(said.fields)
	if said.fields == nil || c.Status.ConditionPrefix != "" {
		want = maps.Clone(live) // Others write the rest.
	}
	if want == nil {
		want = map[string]any{}
	}
	delete(want, "conditions")
	if fields.keeps("conditions") {
		existing, _ := live["conditions"].([]any)
		if !c.paused {
			existing = withoutPaused(existing, c.Status.ConditionPrefix)
		}
		given, own := c.secrets.cleanConditions(said.given, said.own)
		want["conditions"] = stampConditions(existing, c.Status.ConditionPrefix, given, own, c.composed.Generation, c.now())
	}
	if c.Status.ConditionPrefix == "" && fields.keeps("observedGeneration") && !c.paused {
		want["observedGeneration"] = c.composed.Generation
	}
	for name := range want {
		if !fields.keeps(name) {
			c.status.tellPruned(name)
			delete(want, name)
		}
	}
	return want
}

// mergePatch returns the JSON merge patch that makes want of live.
func mergePatch(live, want map[string]any) map[string]any {
	patch := map[string]any{}
	for name := range live {
		if _, ok := want[name]; !ok {
			patch[name] = nil
		}
	}
	for name, v := range want {
		have, there := live[name]
		below, isObject := v.(map[string]any)
		haveBelow, haveObject := have.(map[string]any)
		switch {
		case there && reflect.DeepEqual(v, have), !there && isEmpty(v):
		case isObject && haveObject:
			if nested := mergePatch(haveBelow, below); len(nested) > 0 {
				patch[name] = nested
			}
		default:
			patch[name] = v
		}
	}
	return patch
}

// wroteStatus reports whether that status was the last one written, and nothing has changed since.
func (m *Memory) wroteStatus(parent types.UID, hash, version string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parents[parent]
	return p != nil && p.status == hash && p.version == version
}

// stampConditions returns all conditions: those of other parties as they are, the composer's, and
// kooperd's own, whose types begin with prefix. A condition whose status stays keeps the time of
// its last transition.
func stampConditions(existing []any, prefix string, given []any, own []condition, generation int64, now time.Time) []any {
	stamp := now.UTC().Format(time.RFC3339)
	before := map[string]map[string]any{}
	for _, item := range existing {
		if c, ok := item.(map[string]any); ok {
			name, _ := c["type"].(string)
			before[name] = c
		}
	}
	var made []map[string]any
	for _, item := range given {
		if c, ok := item.(map[string]any); ok && !slices.Contains([]any{conditionReady, conditionProgressing, conditionDegraded}, c["type"]) {
			c = maps.Clone(c)
			if name, ok := c["type"].(string); ok {
				c["type"] = prefix + name
			}
			made = append(made, c)
		}
	}
	for _, c := range own {
		made = append(made, map[string]any{
			"type": prefix + c.kind, "status": truth(c.status), "reason": c.reason, "message": shorten(c.message),
		})
	}
	all := make([]any, 0, len(existing)+len(made))
	placed := map[string]bool{}
	for _, c := range made {
		name, _ := c["type"].(string)
		placed[name] = true
		old := before[name]
		c["lastTransitionTime"] = stamp
		if at, ok := old["lastTransitionTime"]; ok && old["status"] == c["status"] {
			c["lastTransitionTime"] = at
		}
		if observed, kept := old["observedGeneration"]; kept || old == nil {
			if c["observedGeneration"] = generation; name == prefix+conditionPaused && kept {
				c["observedGeneration"] = observed // It does not look at the parent.
			}
		}
	}
	for _, item := range existing {
		c, _ := item.(map[string]any)
		name, _ := c["type"].(string)
		if i := slices.IndexFunc(made, func(m map[string]any) bool { return m["type"] == name }); i >= 0 {
			all = append(all, made[i])
			made = slices.Delete(made, i, i+1)
		} else if !placed[name] {
			all = append(all, item)
		}
	}
	for _, c := range made {
		all = append(all, c)
	}
	return all
}

func truth(b bool) string {
	if b {
		return "True"
	}
	return "False"
}
