package main

type item struct {
	ID         *string `avro:"id"`
	Name       *string `avro:"name"`
	TypeName   *string `avro:"typeName"`
	ParentID   *string `avro:"parentId"`
	ParentName *string `avro:"parentName"`
}

type changedValue struct {
	FieldName   *string `avro:"fieldName"`
	ChangedFrom *string `avro:"changedFrom"`
	ChangedTo   *string `avro:"changedTo"`
}

type event struct {
	Organization    string          `avro:"organization"`
	ID              int64           `avro:"id"`
	Created         int64           `avro:"created"`
	Collected       int64           `avro:"collected"`
	Mode            string          `avro:"mode"`
	Summary         *string         `avro:"summary"`
	Category        *string         `avro:"category"`
	Description     *string         `avro:"description"`
	EventSource     *string         `avro:"eventSource"`
	RemoteAddress   *string         `avro:"remoteAddress"`
	AuthorKey       *string         `avro:"authorKey"`
	AuthorAccountID *string         `avro:"authorAccountId"`
	ObjectItem      *item           `avro:"objectItem"`
	ChangedValues   *[]changedValue `avro:"changedValues"`
	AssociatedItems *[]item         `avro:"associatedItems"`
	Unmodeled       *string         `avro:"unmodeled"`
	Variant         *string         `avro:"variant"`
}

// appendRow writes the columns of the relay's table; absent values are left out.
func appendRow(out []byte, e *event) []byte {
	out = appendInt(out, `{"EventId":`, e.ID)
	out = append(out, `,"EventUid":"`...)
	out = append(out, e.Organization...)
	out = appendInt(out, "/", e.ID)
	if e.Variant != nil {
		out = append(append(out, '/'), *e.Variant...)
	}
	out = append(out, '"')
	out = appendOptional(out, `,"EventMessage":`, e.Summary)
	out = appendOptional(out, `,"EventDescription":`, e.Description)
	out = appendTime(out, `,"EventCreationTime":`, e.Created)
	out = appendTime(out, `,"CollectedTime":`, e.Collected)
	out = appendOptional(out, `,"EventCategoryType":`, e.Category)
	out = appendOptional(out, `,"EventSource":`, e.EventSource)
	out = appendOptional(out, `,"SrcIpAddr":`, e.RemoteAddress)
	out = appendOptional(out, `,"UserName":`, e.AuthorKey)
	out = appendOptional(out, `,"UserSid":`, e.AuthorAccountID)
	if e.ObjectItem != nil {
		out = appendOptional(out, `,"ObjectItemId":`, e.ObjectItem.ID)
		out = appendOptional(out, `,"ObjectItemName":`, e.ObjectItem.Name)
		out = appendOptional(out, `,"ObjectItemTypeName":`, e.ObjectItem.TypeName)
		out = appendOptional(out, `,"ObjectItemParentId":`, e.ObjectItem.ParentID)
		out = appendOptional(out, `,"ObjectItemParentName":`, e.ObjectItem.ParentName)
		out = appendItem(append(out, `,"objectItem":`...), e.ObjectItem)
	}
	if e.ChangedValues != nil {
		out = append(out, `,"ChangedValues":[`...)
		for i := range *e.ChangedValues {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendChange(out, &(*e.ChangedValues)[i])
		}
		out = append(out, ']')
	}
	if e.AssociatedItems != nil {
		out = append(out, `,"AssociatedItems":[`...)
		for i := range *e.AssociatedItems {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendItem(out, &(*e.AssociatedItems)[i])
		}
		out = append(out, ']')
	}
	out = appendText(append(out, `,"Organization":`...), e.Organization)
	out = appendText(append(out, `,"EventMode":`...), e.Mode)
	out = appendOptional(out, `,"Unmodeled":`, e.Unmodeled)
	return append(out, `,"EventVendor":"Atlassian","EventProduct":"Jira Audit"}`...)
}

func appendItem(out []byte, of *item) []byte {
	start := len(out)
	out = appendOptional(out, `,"id":`, of.ID)
	out = appendOptional(out, `,"name":`, of.Name)
	out = appendOptional(out, `,"typeName":`, of.TypeName)
	out = appendOptional(out, `,"parentId":`, of.ParentID)
	out = appendOptional(out, `,"parentName":`, of.ParentName)
	return closeObject(out, start)
}

func appendChange(out []byte, of *changedValue) []byte {
	start := len(out)
	out = appendOptional(out, `,"fieldName":`, of.FieldName)
	out = appendOptional(out, `,"changedFrom":`, of.ChangedFrom)
	out = appendOptional(out, `,"changedTo":`, of.ChangedTo)
	return closeObject(out, start)
}

// closeObject makes an object of the members that begin at start, each behind a comma.
func closeObject(out []byte, start int) []byte {
	if len(out) == start {
		return append(out, "{}"...)
	}
	out[start] = '{'
	return append(out, '}')
}

func appendOptional(out []byte, name string, value *string) []byte {
	if value == nil {
		return out
	}
	return appendText(append(out, name...), *value)
}

const hexadecimal = "0123456789abcdef"

func appendText(out []byte, text string) []byte {
	out = append(out, '"')
	start := 0
	for i := 0; i < len(text); i++ {
		each := text[i]
		if each >= ' ' && each != '"' && each != '\\' {
			continue
		}
		out = append(out, text[start:i]...)
		if each >= ' ' {
			out = append(out, '\\', each)
		} else {
			out = append(out, '\\', 'u', '0', '0', hexadecimal[each>>4], hexadecimal[each&15])
		}
		start = i + 1
	}
	return append(append(out, text[start:]...), '"')
}
