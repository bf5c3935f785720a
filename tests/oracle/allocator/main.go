// Allocator answers what Kubernetes itself allocates: the structured allocator that the scheduler is built
// on, asked by JSON lines. One case a line on standard input, one answer a line out.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dracore.dev/oracle/frame"
	corev1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"
)

// input is one attempt of the scheduler on one node.
type input struct {
	Node     *corev1.Node                 `json:"node"`
	Slices   []*resourceapi.ResourceSlice `json:"slices"`
	Classes  classes                      `json:"classes"`
	Claims   []*resourceapi.ResourceClaim `json:"claims"`
	Held     []held                       `json:"held"`
	Features structured.Features          `json:"features"`
	Variant  string                       `json:"variant"` // "stable", "incubating", "experimental"; empty: as the library picks
	Seconds  float64                      `json:"seconds"` // after which the attempt is given up; 0: 5
}

// held is a device of another claim. With a share ID it is one share of it.
type held struct {
	Driver   string                                          `json:"driver"`
	Pool     string                                          `json:"pool"`
	Device   string                                          `json:"device"`
	ShareID  *types.UID                                      `json:"shareID"`
	Capacity map[resourceapi.QualifiedName]resource.Quantity `json:"consumedCapacity"`
}

type answer struct {
	Allocations []resourceapi.AllocationResult `json:"allocations"` // null: nothing fits
	Error       string                         `json:"error,omitempty"`
	NodeOnly    bool                           `json:"nodeOnly,omitempty"` // the error is about this node alone
	GaveUp      bool                           `json:"gaveUp,omitempty"`
}

type classes []*resourceapi.DeviceClass

func (c classes) List() ([]*resourceapi.DeviceClass, error) { return c, nil }

func (c classes) Get(name string) (*resourceapi.DeviceClass, error) {
	for _, class := range c {
		if class.Name == name {
			return class, nil
		}
	}
	return nil, fmt.Errorf("deviceclass.resource.k8s.io %q not found", name)
}

func state(devices []held) structured.AllocatedState {
	out := structured.AllocatedState{
		AllocatedDevices:         sets.New[structured.DeviceID](),
		AllocatedSharedDeviceIDs: sets.New[structured.SharedDeviceID](),
		AggregatedCapacity:       structured.NewConsumedCapacityCollection(),
	}
	for _, d := range devices {
		id := structured.MakeDeviceID(d.Driver, d.Pool, d.Device)
		if d.ShareID == nil {
			out.AllocatedDevices.Insert(id)
			continue
		}
		out.AllocatedSharedDeviceIDs.Insert(structured.MakeSharedDeviceID(id, d.ShareID))
		if d.Capacity != nil {
			out.AggregatedCapacity.Insert(structured.NewDeviceConsumedCapacity(id, d.Capacity))
		}
	}
	return out
}

func ask(in input) answer {
	seconds := in.Seconds
	if seconds == 0 {
		seconds = 5
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds*float64(time.Second)))
	defer cancel()
	if in.Variant == "" {
		structured.EnableAllocators()
	} else {
		structured.EnableAllocators(in.Variant)
	}
	cache := cel.NewCache(1000, cel.Features{
		EnableConsumableCapacity: in.Features.ConsumableCapacity,
		EnableListTypeAttributes: in.Features.ListTypeAttributes,
	})
	allocator, err := structured.NewAllocator(ctx, in.Features, state(in.Held), in.Classes, in.Slices, cache)
	if err != nil {
		return answer{Error: err.Error()}
	}
	allocations, err := allocator.Allocate(ctx, in.Node, in.Claims)
	if err != nil {
		return answer{
			Error:    err.Error(),
			NodeOnly: errors.Is(err, structured.ErrFailedAllocationOnNode),
			GaveUp:   errors.Is(err, context.DeadlineExceeded),
		}
	}
	return answer{Allocations: allocations}
}

func main() {
	frame.Serve(ask, func(reason string) answer { return answer{Error: reason} })
}
