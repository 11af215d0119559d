`fenglingctl kubernetes status` and `doctor` judge the Gateway API, writing and telling, each with a cure; a rejected or pending service is no longer shown with what came of a decision before.
