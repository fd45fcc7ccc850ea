package reload

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"

	"kooperd.dev/kooperd/pkg/config"
)

// ConfigMapPrefix begins the names of ConfigMaps on the command line, and those of their keys.
const ConfigMapPrefix = "configmap:"

// ParseConfigMap returns the ConfigMap that an argument names as configmap:NAMESPACE/NAME, or false
// when the argument is a path.
func ParseConfigMap(argument string) (name types.NamespacedName, ok bool, err error) {
	text, ok := strings.CutPrefix(argument, ConfigMapPrefix)
	if !ok {
		return types.NamespacedName{}, false, nil
	}
	namespace, base, found := strings.Cut(text, "/")
	if !found || len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(base)) > 0 {
		return types.NamespacedName{}, true, fmt.Errorf("%q names no ConfigMap, want configmap:NAMESPACE/NAME", argument)
	}
	return types.NamespacedName{Namespace: namespace, Name: base}, true, nil
}

// ConfigMap is the source that consists of one ConfigMap, each key of which is a file as in a
// directory. It is read through the API server, which tells of every change at once. The client has
// to stay usable until Watch has returned.
func ConfigMap(client corev1client.ConfigMapsGetter, name types.NamespacedName) Source {
	return &configMapSource{client: client.ConfigMaps(name.Namespace), name: name}
}

type configMapSource struct {
	client corev1client.ConfigMapInterface
	name   types.NamespacedName

	mu      sync.Mutex
	watched bool              // latest is what the watch has shown; false while there is none
	latest  *corev1.ConfigMap // nil when there is none
}

func (s *configMapSource) Read(ctx context.Context) (Snapshot, error) {
	object, err := s.object(ctx)
	if err != nil {
		return Snapshot{}, fmt.Errorf("reading ConfigMap %s: %w", s.name, err)
	}
	var files []config.File
	from := ConfigMapPrefix + s.name.String()
	for _, key := range slices.Sorted(maps.Keys(object.Data)) {
		files = appendKey(files, from, key, []byte(object.Data[key]))
	}
	for _, key := range slices.Sorted(maps.Keys(object.BinaryData)) {
		files = appendKey(files, from, key, object.BinaryData[key])
	}
	if len(files) == 0 {
		return Snapshot{}, config.Diagnostics{{
			Position: config.Position{File: from}, Message: "the ConfigMap has no config file",
			Hint: "want keys that end in .cue, .yaml, .yml or .json",
		}}
	}
	read, err := config.NewFiles(files...)
	if err != nil {
		return Snapshot{}, err
	}
	return Snapshot{Files: read, Versions: map[string]string{s.name.String(): object.ResourceVersion}}, nil
}

// appendKey adds a key of a ConfigMap, if it is a config file by its name.
func appendKey(files []config.File, from, key string, text []byte) []config.File {
	if !config.IsConfigFile(key) {
		return files
	}
	path := "/" + strings.Replace(from, ":", "/", 1) + "/" + key
	return append(files, config.File{Name: from + "/" + key, Path: path, From: from, Data: text})
}

var errNoConfigMap = errors.New("it does not exist")

// object returns the ConfigMap as the watch has shown it last, or as it is before there is a watch.
func (s *configMapSource) object(ctx context.Context) (*corev1.ConfigMap, error) {
	s.mu.Lock()
	watched, latest := s.watched, s.latest
	s.mu.Unlock()
	if watched {
		if latest == nil {
			return nil, errNoConfigMap
		}
		return latest, nil
	}
	object, err := s.client.Get(ctx, s.name.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, errNoConfigMap
	}
	return object, err
}

func (s *configMapSource) Watch(ctx context.Context, changed func()) {
	show := func(watched bool, object *corev1.ConfigMap) {
		s.mu.Lock()
		s.watched, s.latest = watched, object
		s.mu.Unlock()
		changed()
	}
	informer := cache.NewSharedInformer(s.listerWatcher(), &corev1.ConfigMap{}, 0)
	// Neither of the two can fail: the informer does not run yet.
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { show(true, asConfigMap(object)) },
		UpdateFunc: func(_, object any) { show(true, asConfigMap(object)) },
		DeleteFunc: func(any) { show(true, nil) },
	})
	_ = informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
		cache.DefaultWatchErrorHandler(ctx, r, err)
		show(false, nil) // While nothing can be watched, each try to is a reason to read.
	})
	informer.RunWithContext(ctx)
}

// listerWatcher lists and watches the one ConfigMap.
func (s *configMapSource) listerWatcher() cache.ListerWatcher {
	only := fields.OneTermEqualSelector("metadata.name", s.name.Name).String()
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = only
			return s.client.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = only
			return s.client.Watch(ctx, options)
		},
	}
}

func asConfigMap(object any) *corev1.ConfigMap {
	m, _ := object.(*corev1.ConfigMap)
	return m
}
