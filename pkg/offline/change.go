package offline

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// changer says what becomes of objects. It is used by one request at a time.
type changer struct {
	merger  *merger
	version int
}

func (c *changer) nextVersion() string {
	c.version++
	return strconv.Itoa(c.version)
}

// changed returns what becomes of an object, nil for none, by a request.
func (c *changer) changed(w write, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	switch {
	case w.req.Method == http.MethodPost: // It asks whether an object could be created.
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(w.body); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return o, nil
	case w.isApply():
		return c.applied(w, live)
	case live == nil:
		return nil, apierrors.NewNotFound(w.resource(), w.name)
	case w.req.Method == http.MethodDelete:
		return c.deleted(live), nil
	case w.req.Method == http.MethodPatch:
		return c.patched(w, live)
	default:
		return nil, apierrors.NewMethodNotSupported(w.resource(), w.req.Method)
	}
}

// applied is what becomes of an object by a server-side apply.
func (c *changer) applied(w write, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	applied := &unstructured.Unstructured{}
	if err := applied.UnmarshalJSON(w.body); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if err := w.checkPreconditions(applied, live); err != nil {
		return nil, err
	}
	applied.SetUID("")
	applied.SetResourceVersion("")
	query := w.req.URL.Query()
	now, err := c.merger.apply(live, applied, query.Get("fieldManager"), query.Get("force") == "true")
	if err != nil {
		return nil, err
	}
	if live == nil {
		if _, ok := now.Object["status"]; !ok && hasStatus(w.kind) {
			now.Object["status"] = map[string]any{}
		}
		now.SetUID(UIDOf(w.key()))
		now.SetGeneration(1)
		now.SetResourceVersion(c.nextVersion())
		return now, nil
	}
	return c.stamp(live, now), nil
}

// checkPreconditions compares what a request says of an object with what it is.
func (w write) checkPreconditions(applied, live *unstructured.Unstructured) error {
	uid, version := applied.GetUID(), applied.GetResourceVersion()
	switch {
	case live == nil && uid != "":
		return apierrors.NewConflict(w.resource(), w.name, fmt.Errorf("uid mismatch: there is none")) //nolint:err113 // for a person
	case live != nil && uid != "" && uid != live.GetUID():
		return apierrors.NewConflict(w.resource(), w.name, fmt.Errorf("uid mismatch: it is %s", live.GetUID())) //nolint:err113 // for a person
	case live != nil && version != "" && version != live.GetResourceVersion():
		return apierrors.NewConflict(w.resource(), w.name, fmt.Errorf("it has been modified")) //nolint:err113 // for a person
	}
	return nil
}

// stamp gives an object that was changed what identifies it, and a new version if it is another.
func (c *changer) stamp(live, now *unstructured.Unstructured) *unstructured.Unstructured {
	now.SetUID(live.GetUID())
	now.SetResourceVersion(live.GetResourceVersion())
	now.SetGeneration(live.GetGeneration())
	if reflect.DeepEqual(withoutManagers(live), withoutManagers(now)) && sameManagers(live, now) {
		return now
	}
	if version, err := strconv.Atoi(live.GetResourceVersion()); err == nil {
		c.version = max(c.version, version) // A later version is a greater one.
	}
	now.SetResourceVersion(c.nextVersion())
	if !reflect.DeepEqual(specOf(live), specOf(now)) {
		now.SetGeneration(live.GetGeneration() + 1)
	}
	return now
}

func withoutManagers(o *unstructured.Unstructured) map[string]any {
	o = o.DeepCopy()
	o.SetManagedFields(nil)
	return o.Object
}

// sameManagers compares managedFields without the times.
func sameManagers(a, b *unstructured.Unstructured) bool {
	timeless := func(o *unstructured.Unstructured) []metav1.ManagedFieldsEntry {
		entries := o.GetManagedFields()
		for i := range entries {
			entries[i].Time = nil
		}
		return entries
	}
	return reflect.DeepEqual(timeless(a), timeless(b))
}

// specOf is all of an object that its generation counts.
func specOf(o *unstructured.Unstructured) map[string]any {
	spec := map[string]any{}
	for name, value := range o.Object {
		if name != "metadata" && name != "status" {
			spec[name] = value
		}
	}
	return spec
}

// deleted is what is left of an object that is deleted; nil for nothing.
func (c *changer) deleted(live *unstructured.Unstructured) *unstructured.Unstructured {
	if len(live.GetFinalizers()) == 0 {
		return nil
	}
	now := live.DeepCopy()
	if now.GetDeletionTimestamp() == nil {
		at := metav1.NewTime(time.Now())
		now.SetDeletionTimestamp(&at)
		now.SetResourceVersion(c.nextVersion())
	}
	return now
}

// patched is what becomes of an object by a JSON patch or a merge patch.
func (c *changer) patched(w write, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	text, err := live.MarshalJSON()
	if err != nil {
		return nil, err
	}
	switch kind := types.PatchType(w.req.Header.Get("Content-Type")); kind {
	case types.JSONPatchType:
		patch, err := jsonpatch.DecodePatch(w.body)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		if text, err = patch.Apply(text); err != nil {
			return nil, apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "patch", w.resource(), w.name, err.Error(), 0, false)
		}
	case types.MergePatchType:
		var said struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
		}
		if err := json.Unmarshal(w.body, &said); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		seen := &unstructured.Unstructured{Object: map[string]any{}}
		seen.SetUID(said.Metadata.UID)
		seen.SetResourceVersion(said.Metadata.ResourceVersion)
		if err := w.checkPreconditions(seen, live); err != nil {
			return nil, err
		}
		if text, err = jsonpatch.MergePatch(text, w.body); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	default:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("there is no patch of type %q", kind))
	}
	now := &unstructured.Unstructured{}
	if err := now.UnmarshalJSON(text); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if now.GetDeletionTimestamp() != nil && len(now.GetFinalizers()) == 0 {
		return nil, nil //nolint:nilnil // there is none any more
	}
	return c.stamp(live, now), nil
}
