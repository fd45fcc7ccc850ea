package offline

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// write is a request that changes something.
type write struct {
	place
	req  *http.Request
	body []byte
}

func (w write) resource() schema.GroupResource {
	return schema.GroupResource{Group: w.kind.Group, Resource: w.place.resource.Name}
}

func (w write) isApply() bool {
	return w.req.Method == http.MethodPatch && w.req.Header.Get("Content-Type") == string(types.ApplyPatchType)
}

// isDryRun reports whether a write only asks what would become of the object.
func (w write) isDryRun() bool { return w.req.URL.Query().Has("dryRun") }

// ofManagers reports whether a write changes managedFields by itself. No dry run that comes after
// it would know of that.
func (w write) ofManagers() bool {
	return w.req.Header.Get("Content-Type") == string(types.JSONPatchType) && bytes.Contains(w.body, []byte(`"/metadata/managedFields"`))
}

// onlyHere reports whether a write cannot be asked of the API server, because it is about an object
// that is another one here, or is gone here and not there.
func (s *Server) onlyHere(w write) bool {
	e, ok := s.known(w.key())
	isMadeHere := e.before == nil && e.now != nil
	return ok && (e.local || e.diverged || e.before != nil && e.now == nil || isMadeHere && !w.isApply())
}

// liveBody is the body of a request as it is sent to the API server, where an object that was made
// here does not exist.
func (s *Server) liveBody(w write) ([]byte, error) {
	if e, ok := s.known(w.key()); !ok || !w.isApply() || e.before != nil || e.now == nil {
		return w.body, nil
	}
	applied := &unstructured.Unstructured{}
	if err := applied.UnmarshalJSON(w.body); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	applied.SetUID("")
	applied.SetResourceVersion("1") // It is still to be created.
	return applied.MarshalJSON()
}

// keep keeps the answer of the API server to a dry run, of which only what the request was about
// counts. It returns the object as it is now.
func (s *Server) keep(w write, answer *unstructured.Unstructured) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(w.key())
	if e == nil {
		e = &entry{}
	}
	s.objects[w.key()] = e
	if answer.GetResourceVersion() == "" { // It would be created.
		answer.SetResourceVersion(s.changer.nextVersion())
	}
	switch {
	case e.now == nil:
		e.now = answer
	case w.subresource == "status":
		e.now = e.now.DeepCopy()
		if status, ok := answer.Object["status"]; ok {
			e.now.Object["status"] = status
		}
	case w.req.Header.Get("Content-Type") == string(types.JSONPatchType):
		e.now = e.now.DeepCopy()
		e.now.SetFinalizers(answer.GetFinalizers())
		e.finalizers = true
	case e.finalizers:
		answer.SetFinalizers(e.now.GetFinalizers())
		e.now = answer
	default:
		e.now = answer
	}
	return e.now
}

// carryOut does what a request asks for.
func (s *Server) carryOut(w write) (*unstructured.Unstructured, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(w.key())
	if e == nil {
		e = &entry{}
	}
	now, err := s.changer.changed(w, e.now)
	if err != nil {
		return nil, err
	}
	if w.req.Method != http.MethodPost && !w.isDryRun() {
		e.diverged = e.diverged || w.ofManagers()
		e.now, s.objects[w.key()] = now, e
	}
	if now == nil {
		now = &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Status", "status": metav1.StatusSuccess}}
	}
	return now, nil
}

// answerList answers a list.
func (s *Server) answerList(req *http.Request, p place) (*http.Response, error) {
	items := []any{}
	for _, o := range s.list(p.kind, nil) {
		ok, err := selected(req.URL.Query(), o)
		if err != nil {
			return refuse(req, err)
		}
		if ok && (p.namespace == "" || o.GetNamespace() == p.namespace) {
			items = append(items, o.Object)
		}
	}
	return respond(req, http.StatusOK, map[string]any{
		"apiVersion": p.kind.GroupVersion().String(), "kind": p.kind.Kind + "List", "items": items,
		"metadata": map[string]any{"resourceVersion": "0"},
	})
}

// matches reports whether selectors as in a query select an object. Of the fields, those of the
// metadata can be asked for.
func matches(labelSelector, fieldSelector string, o *unstructured.Unstructured) (bool, error) {
	byLabels, err := labels.Parse(labelSelector)
	if err != nil {
		return false, apierrors.NewBadRequest(err.Error())
	}
	byFields, err := fields.ParseSelector(fieldSelector)
	if err != nil {
		return false, apierrors.NewBadRequest(err.Error())
	}
	return byLabels.Matches(labels.Set(o.GetLabels())) && MatchesFields(byFields, o), nil
}

// MatchesFields reports whether a field selector selects an object, by what stands at the paths
// that it names. A field that is not there is empty.
func MatchesFields(selector fields.Selector, o *unstructured.Unstructured) bool {
	set := fields.Set{}
	for _, r := range selector.Requirements() {
		value, _, err := unstructured.NestedFieldNoCopy(o.Object, strings.Split(r.Field, ".")...)
		if err == nil && value != nil {
			set[r.Field] = fmt.Sprint(value)
		}
	}
	return selector.Matches(set)
}
