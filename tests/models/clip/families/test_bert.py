import torch

from omnisyn.models.clip.families.bert import Bert, bert_arguments, from_bert_model
from omnisyn.models.clip.families.open_clip import open_clip_module


def test_hidden_states_are_those_of_transformers() -> None:
    open_clip_module()  # torchvision must be mended before transformers looks for it
    from transformers import BertConfig, BertModel

    torch.manual_seed(2)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 80}
    theirs = BertModel(BertConfig(vocab_size=30, hidden_size=128, **sizes)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    own = Bert(**bert_arguments(theirs.state_dict(), "theirs")).eval()
    own.load_state_dict(from_bert_model(theirs.state_dict()))
    tokens = torch.tensor([[2, 5, 6, 7, 3], [2, 9, 3, 0, 0]])
    present = tokens != 0
    with torch.no_grad():
        wanted = theirs(tokens, attention_mask=present, output_hidden_states=True).hidden_states[1:]
        for state, theirs_state in zip(own(tokens), wanted, strict=True):
            torch.testing.assert_close(state[present], theirs_state[present], atol=1e-5, rtol=0)
